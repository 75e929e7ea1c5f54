"""Part 2: a run that was stopped goes on bit by bit; lists of weights take the steps of one weight at a time."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import step_contenders
import torch
from composer.optim import DecoupledSGDW

from resnet_exp.config.schema import OptimizerConfig
from resnet_exp.training.trainer import build_optimizer

from .context import Context, has_setting, wait_for

WAIT = 200
# Kernels of cuBLAS repeat their sums only with a workspace of a fixed size.
DETERMINISTIC = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
OPTIMIZER = OptimizerConfig(lr=0.1, momentum=0.875, weight_decay=5e-4, dampening=0.0, nesterov=False)


def resume(context: Context) -> None:
    """Hot without and with an interruption: weights and traces must be equal to the last bit."""
    scale = context.scale
    words = [
        "recipe=hot", f"model={scale.model}", "data=ffcv", f"resolution.train={scale.digits_px}", "ssr=1",
        f"schedule.max_duration={scale.batches}ba", "schedule.warmup=2ba",
        *(["deterministic=true"] if has_setting("deterministic") else []),
    ]  # fmt: skip
    whole, parts = context.folder / "resume-whole", context.folder / "resume-parts"
    straight = context.start([*words, f"runs_dir={whole}"], **DETERMINISTIC)
    stopped = context.start([*words, f"runs_dir={parts}"], **DETERMINISTIC)
    reached = wait_for(lambda: _batches(parts) >= scale.stop_at or stopped.poll() is not None, WAIT)
    stopped.send_signal(signal.SIGTERM)
    codes = [
        straight.wait(WAIT),
        _end(stopped),
        context.start([*words, f"runs_dir={parts}"], **DETERMINISTIC).wait(WAIT),
    ]
    one, other = context.only_run(whole), context.only_run(parts)
    equal = {
        "weights": _weights_equal(one / "weights.pt", other / "weights.pt"),
        "trace": (one / "trace.jsonl").read_bytes() == (other / "trace.jsonl").read_bytes(),
    }
    context.write(
        what="resume", reached=reached, exit_codes=codes, **equal, ok=all(equal.values()) and codes[1] not in (0, 1)
    )


def _end(process: subprocess.Popen[str]) -> int:
    return process.wait(WAIT)


def _batches(runs: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in runs.glob("*/trace.jsonl"))


def _weights_equal(one: Path, other: Path) -> bool:
    its, others = (torch.load(path, map_location="cpu", weights_only=True) for path in (one, other))
    return its.keys() == others.keys() and all(torch.equal(its[name], others[name]) for name in its)


def optimizer(context: Context) -> None:
    """Our optimizer against Composer's, which takes one weight at a time: 20 steps of ResNet's weights."""
    torch.manual_seed(17)
    network = step_contenders.make_network(context.scale.model).to(context.device.torch)
    mine, theirs = ([each.detach().clone().requires_grad_() for each in network.parameters()] for _ in range(2))
    settings = {"lr": OPTIMIZER.lr, "momentum": OPTIMIZER.momentum, "weight_decay": OPTIMIZER.weight_decay}
    both = build_optimizer(mine, OPTIMIZER), DecoupledSGDW(theirs, **settings)
    for _ in range(context.scale.repeats):
        for one, other in zip(mine, theirs, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        for each in both:
            each.step()
    equal = all(torch.equal(one, other) for one, other in zip(mine, theirs, strict=True))
    context.write(what="optimizer", steps=context.scale.repeats, name=type(both[0]).__name__, ok=equal)
