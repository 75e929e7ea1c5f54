"""Run the parts of ``gpu.sh`` one after the other, each in a process of its own; or one of them.

python -m gpu -o DIR [--rehearse]
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# Parts in their order: number, name, function, and the seconds that it may take.
PARTS = (
    (0, "machine", "__main__:machine", 30),
    (0, "photographs", "loading:photographs", 60),
    (1, "network", "correctness:network", 40),
    (1, "recipes", "correctness:recipes", 100),
    (2, "resume", "resume:resume", 90),
    (2, "optimizer", "resume:optimizer", 30),
    (3, "late", "loading:late", 40),
    (3, "layout", "loading:layout", 40),
    (5, "throughput", "speed:throughput", 170),
    (7, "fed", "loading:alone", 60),
    (7, "trained", "loading:trained", 60),
    (4, "synchronizations", "speed:synchronizations", 50),
    (6, "parts", "speed:parts", 40),
    (8, "memory", "memory:memory", 30),
)
# The whole, in seconds; a part that cannot end before is not begun.
LIMIT, REHEARSAL_LIMIT, LEAST = 470, 3600, 15
# A rehearsal has slower machines.
REHEARSAL_FACTOR = 10


def machine(context: Any) -> None:
    """What this machine is."""
    import torch

    from resnet_exp.core.machine.devices import usable_cpus

    context.write(
        gpu=context.device.name(), date=datetime.date.today().isoformat(), torch=torch.__version__,
        cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version(), python=platform.python_version(),
        driver=_driver(), cpus=usable_cpus(), rehearsal=context.device.kind == "cpu",
    )  # fmt: skip


def _driver() -> str | None:
    path = Path("/sys/module/nvidia/version")
    return path.read_text().strip() if path.exists() else None


def run_part(name: str, folder: Path, lines: Path, rehearse: bool) -> int:
    """Run one part in this process."""
    from gpu.context import REAL, TOY, Context
    from gpu.device import make_device

    (place,) = (place for _, each, place, _ in PARTS if each == name)
    module, function = place.split(":")
    context = Context(name, make_device("cpu" if rehearse else "cuda"), TOY if rehearse else REAL, folder, lines)
    getattr(importlib.import_module(f"gpu.{module}"), function)(context)
    return 0


def run_all(output: Path, rehearse: bool, only: list[str] | None) -> int:
    """Run the parts; returns 1 if one of them failed."""
    began, limit = time.monotonic(), REHEARSAL_LIMIT if rehearse else LIMIT
    output.mkdir(parents=True, exist_ok=True)
    folder, lines = output / "work", output / "results.jsonl"
    folder.mkdir(exist_ok=True)
    lines.unlink(missing_ok=True)
    took: list[tuple[int, str, float, str]] = []
    for number, name, _, seconds in PARTS:
        if only and name not in only:
            continue
        left = limit - (time.monotonic() - began)
        if left < LEAST:
            took.append((number, name, 0.0, "skipped: too late"))
            continue
        allowed = min(left, seconds * (REHEARSAL_FACTOR if rehearse else 1))
        begins = time.monotonic()
        outcome = _in_process(name, folder, lines, rehearse, allowed)
        took.append((number, name, time.monotonic() - begins, outcome))
        print(f"{name}: {outcome}, {took[-1][2]:.0f} s", flush=True)  # noqa: T201
    return _show(lines, took)


def _in_process(name: str, folder: Path, lines: Path, rehearse: bool, seconds: float) -> str:
    line = [sys.executable, "-m", "gpu", "--part", name, "--folder", str(folder), "--lines", str(lines)]
    line += ["--rehearse"] if rehearse else []
    with (folder / f"{name}.log").open("a") as log:
        process = subprocess.Popen(line, stdout=log, stderr=log, start_new_session=True)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it started ends with it
    if code == 0:
        return "done"
    if code is None:
        return f"stopped after {seconds:.0f} s"
    return f"failed: {_last_line(folder / f'{name}.log')}"


def _last_line(path: Path) -> str:
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:150] if lines else "it said nothing"


def _show(lines: Path, took: list[tuple[int, str, float, str]]) -> int:
    found = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    say(f"\n{'part':<22}{'seconds':>8}  outcome")
    for number, name, seconds, outcome in took:
        rows = [row for row in found if row["part"] == name]
        wrong = [row for row in rows if row.get("ok") is False]
        say(
            f"{number} {name:<20}{seconds:>8.1f}  {outcome}" + (f", {len(wrong)} of {len(rows)} WRONG" if wrong else "")
        )
        for row in rows:
            say("    " + ", ".join(f"{key} {_short(value)}" for key, value in row.items() if key != "part"))
    bad = [row for row in found if row.get("ok") is False]
    return int(bool(bad) or any(outcome not in ("done", "skipped: too late") for *_, outcome in took))


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return str(value) if not isinstance(value, list) else f"[{', '.join(_short(each) for each in value)}]"


def say(text: str) -> None:
    """Print a line."""
    print(text, flush=True)  # noqa: T201


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path(os.environ.get("OUT", "gpu-results")))
    parser.add_argument("--rehearse", action="store_true", help="every part on the CPU at toy size")
    parser.add_argument("--only", nargs="+", metavar="PART")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--lines", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        return run_part(options.part, options.folder, options.lines, options.rehearse)
    return run_all(options.output.resolve(), options.rehearse, options.only)


if __name__ == "__main__":
    sys.exit(main())
