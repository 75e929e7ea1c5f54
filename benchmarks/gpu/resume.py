"""Part 2: a run that was stopped goes on bit by bit."""

from __future__ import annotations

import signal
from pathlib import Path

import torch

from .context import Context, wait_for

WAIT = 200


def resume(context: Context) -> None:
    """Hot without and with an interruption: weights and traces must be equal to the last bit."""
    scale = context.scale
    words = [
        "recipe=hot", f"model={scale.model}", "data=ffcv", f"resolution.train={scale.digits_px}", "ssr=1",
        f"schedule.max_duration={scale.resumed}ba", "schedule.warmup=2ba",
        "deterministic=true",
    ]  # fmt: skip
    whole, parts = context.folder / "resume-whole", context.folder / "resume-parts"
    straight = context.start([*words, f"runs_dir={whole}"])
    stopped = context.start([*words, f"runs_dir={parts}"])
    reached = wait_for(lambda: _batches(parts) >= scale.stop_at or stopped.poll() is not None, WAIT)
    stopped.send_signal(signal.SIGTERM)
    codes = [straight.wait(WAIT), stopped.wait(WAIT), context.start([*words, f"runs_dir={parts}"]).wait(WAIT)]
    one, other = context.only_run(whole), context.only_run(parts)
    equal = {
        "weights": _weights_equal(one / "weights.pt", other / "weights.pt"),
        "trace": (one / "trace.jsonl").read_bytes() == (other / "trace.jsonl").read_bytes(),
    }
    context.write(
        what="resume", reached=reached, exit_codes=codes, **equal, ok=all(equal.values()) and codes[1] not in (0, 1)
    )


def _batches(runs: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in runs.glob("*/trace.jsonl"))


def _weights_equal(one: Path, other: Path) -> bool:
    its, others = (torch.load(path, map_location="cpu", weights_only=True) for path in (one, other))
    return its.keys() == others.keys() and all(torch.equal(its[name], others[name]) for name in its)
