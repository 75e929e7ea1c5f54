"""What torch sees on this machine, and one all-reduce between the ranks, for ``resnet_exp.doctor``.

``python -m resnet_exp.training.rank.probe DEVICE BYTES``, alone or as each rank of ``torch.distributed.run``, prints a
JSON object: what it could import, what its device is, and how long it took to sum BYTES over all ranks.
"""

from __future__ import annotations

import datetime
import importlib
import importlib.metadata
import json
import os
import signal
import sys
import time

from resnet_exp.core.machine.processes import die_with_parent
from resnet_exp.core.terminal.text import one_line

# What a rank imports, by the name under which it is installed.
PACKAGES = {"torch": "torch", "torchvision": "torchvision", "mosaicml": "composer", "ffcv": "ffcv"}
# How long a rank waits for the others.
PATIENCE = datetime.timedelta(seconds=60)
REPEATS = 5


def main() -> int:
    """Print what there is; returns the exit code."""
    die_with_parent(signal.SIGKILL, os.getppid())
    facts: dict[str, object] = {"rank": int(os.environ.get("RANK", "0")), "imports": {}}
    if os.environ.get("LOCAL_RANK", "0") == "0":
        facts["imports"] = _imports()
    try:
        facts |= _device(sys.argv[1])
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            facts["sum_seconds"] = _sum_seconds(sys.argv[1], int(sys.argv[2]))
    except Exception as error:  # torch raises whatever its libraries say
        facts["error"] = f"{type(error).__name__}: {one_line(error):.300}"
    # As one write: the ranks share a file, and an unbuffered print writes the end of its line on its own.
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()
    return int("error" in facts)


def _imports() -> dict[str, dict[str, str]]:
    """Of each package its version, or why it cannot be imported."""
    found: dict[str, dict[str, str]] = {}
    for name, module in PACKAGES.items():
        try:
            importlib.import_module(module)
            found[name] = {"version": importlib.metadata.version(name)}
        except Exception as error:  # a library that is missing raises an OSError, one of another version anything
            found[name] = {"error": f"{type(error).__name__}: {one_line(error):.300}"}
    return found


def _device(kind: str) -> dict[str, object]:
    """The GPU of this rank, once it has computed something; nothing of a CPU."""
    import torch

    if kind == "cpu":
        return {}
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    free, total = torch.cuda.mem_get_info()
    square = torch.ones(256, 256, device="cuda") @ torch.ones(256, 256, device="cuda")
    if float(square[0, 0]) != 256:
        raise ArithmeticError(f"a product of matrices is {float(square[0, 0])}, not 256")
    return {
        "gpus": torch.cuda.device_count(),
        "gpu": torch.cuda.get_device_name(),
        "free_bytes": free,
        "total_bytes": total,
    }


def _sum_seconds(kind: str, size: int) -> float:
    """Seconds of the fastest of a few sums of `size` bytes over all ranks."""
    import torch
    from torch import distributed

    device = "cuda" if kind == "gpu" else "cpu"
    distributed.init_process_group("nccl" if kind == "gpu" else "gloo", timeout=PATIENCE)
    world, times = distributed.get_world_size(), []
    for _ in range(1 + REPEATS):
        values = torch.ones(size // 4, device=device)
        distributed.barrier()
        began = time.perf_counter()
        distributed.all_reduce(values)
        right = bool((values == world).all())  # waits for the device too
        times.append(time.perf_counter() - began)
        if not right:
            raise ArithmeticError(f"a sum of ones over {world} ranks is not {world}")
    distributed.destroy_process_group()
    return min(times[1:])


if __name__ == "__main__":
    sys.exit(main())
