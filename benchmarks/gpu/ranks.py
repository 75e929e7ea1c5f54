"""Part 4: two ranks on one GPU: the numbers of one rank, a stop that one of them is asked for, and one that fails."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

from resnet_exp.core.files import read_json, read_lines
from resnet_exp.launch.config_file import write_config
from resnet_exp.runs.folder import RunFolder
from support.configs import make_config

from .context import Context

WAIT = 200
BATCHES, STOP_AT, FAIL_AT = 6, 3, 2
# What tests/launch/test_ranks.py asks of a CPU.
TOLERANCE = 1e-5
# Of a rank that fails until all have ended; torchrun itself waits up to 30 s for those that do not.
ENDS_WITHIN = 20.0
# GroupNorm for BatchNorm: nothing depends on which images share a rank.
PLAIN = "+algorithms.plain._target_=support.rank_faults.NoBatchNorm"
FAULT = "+callbacks.fault._target_=support.rank_faults.Fault"


def ranks(context: Context) -> None:
    """One rank, and two that are stopped and go on, in full precision; two of which one fails."""
    one, two, bad = (_make(context, name, ranks) for name, ranks in (("one", 1), ("two", 2), ("bad", 2)))
    failing = _start(context, bad, 2, f"{FAIL_AT}:raise:1")
    alone, stopping = _start(context, one, 1), _start(context, two, 2, f"{STOP_AT}:SIGTERM:1")
    _write_end(context, bad, failing.wait(WAIT))
    codes = [alone.wait(WAIT), stopping.wait(WAIT)]
    stopped = [path.name for path in two.checkpoints.glob("stopped-*")]
    context.write(what="stop", exit_code=codes[1], left=stopped, ok=stopped == [f"stopped-ba{STOP_AT}-rank0.pt"])
    codes[1] = _start(context, two, 2).wait(WAIT)
    found = [_numbers(run) if code == 0 else [] for run, code in zip((one, two), codes, strict=True)]
    complete = len(found[0]) == len(found[1]) > BATCHES
    most = max((abs(a - b) / max(abs(b), 1e-9) for a, b in zip(*found, strict=True)), default=1.0) if complete else None
    context.write(
        what="numbers", exit_codes=codes, numbers=len(found[0]), most_difference=most,
        ok=most is not None and most <= TOLERANCE,
    )  # fmt: skip


def _make(context: Context, name: str, ranks: int) -> RunFolder:
    """A run folder with its configuration: what SLURM's jobs start from."""
    scale = context.scale
    config = make_config(
        "recipe=mild", f"model={scale.model}", context.hardware, "hardware.precision=fp32", "loggers=[]", "trace=true",
        f"data.cache_dir={context.cache}", f"resolution.train={scale.digits_px}", "train_batch_size=16",
        "eval_batch_size=60", "optimizer.lr=0.005", "ssr=1", f"schedule.max_duration={BATCHES}ba",
        "schedule.warmup=2ba", "algorithms.ema.half_life=2ba", "algorithms.ema.update_interval=1ba", PLAIN, FAULT,
        f"runs_dir={context.folder / 'ranks'}", f"run_id={name}",
    )  # fmt: skip
    hardware = replace(config.hardware, devices=ranks)
    config.folder.path.mkdir(parents=True)
    write_config(config.folder, replace(config, hardware=hardware))
    return config.folder


def _start(context: Context, run: RunFolder, ranks: int, fault: str = "-1::-1") -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    return context.spawn([*line, "-m", "gpu.one_gpu", str(run.path)], FAULT=fault)


def _write_end(context: Context, run: RunFolder, code: int) -> None:
    """How a run has just ended, and how long after its failure was known."""
    failure = read_json(run.failure) or {}
    seconds = time.time() - run.failure.stat().st_mtime if failure else None
    right = code != 0 and failure.get("rank") == 1 and seconds is not None and seconds < ENDS_WITHIN
    context.write(what="failure", exit_code=code, rank=failure.get("rank"), ended_after=seconds, ok=right)


def _numbers(run: RunFolder) -> list[float]:
    """Losses of training, then loss and accuracies of the evaluation."""
    rows = list(read_lines(run.metrics))
    return [row["loss"] for row in read_lines(run.trace)] + [rows[-1][name] for name in ("loss", "top1", "top5")]
