"""Part 1: the recipes learn through the real command line; the network computes what a CPU computes."""

from __future__ import annotations

import json
from pathlib import Path

import step_contenders
import torch

from .context import RECIPES, Context
from .device import Device

FULL_TOLERANCE, HALF_TOLERANCE = 1e-4, 1e-2
# On a CPU half precision is bfloat16, which has three digits less.
HALF = {"cuda": (torch.float16, HALF_TOLERANCE), "cpu": (torch.bfloat16, 0.1)}
ENDS, FALLS_TO = 10, 0.7
WAIT = 240


def recipes(context: Context) -> None:
    """All four recipes at once, each a real run on the digits, Hot from FFCV's files."""
    scale = context.scale
    length = (f"schedule.max_duration={scale.batches}ba", "schedule.warmup=2ba", "ssr=1")
    processes = {}
    for name in RECIPES:
        runs = context.folder / f"recipe-{name}"
        words = [f"recipe={name}", f"model={scale.model}", f"resolution.train={scale.digits_px}", f"runs_dir={runs}"]
        words += ["data=ffcv"] if name == "hot" else []
        processes[name] = runs, context.start([*words, *length])
    for name, (runs, process) in processes.items():
        code = process.wait(WAIT)
        context.write(recipe=name, exit_code=code, **(_outcome(context, runs) if code == 0 else {"ok": False}))


def _outcome(context: Context, runs: Path) -> dict[str, object]:
    run = context.only_run(runs)
    result = json.loads((run / "result.json").read_text())
    losses = [json.loads(line)["loss"] for line in (run / "trace.jsonl").read_text().splitlines()]
    ends = min(ENDS, len(losses) // 2)
    ratio = sum(losses[-ends:]) / sum(losses[:ends])
    finite = all(loss == loss and abs(loss) < 1e9 for loss in (*losses, result["eval_loss"]))
    learns = ratio < FALLS_TO or context.device.kind == "cpu"
    return {"ok": finite and learns, "loss_ratio": ratio, "top1": result["top1"]}


def network(context: Context) -> None:
    """Logits and gradients of one batch against those of a CPU in full precision, with the same weights."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(17)
    model = step_contenders.make_network(context.scale.model)
    images = torch.randn(8, 3, context.scale.digits_px, context.scale.digits_px)
    images = images.to(memory_format=torch.channels_last)
    logits, gradient = _pass(model, images, Device(), torch.float32)
    dtype, half = HALF[context.device.kind]
    for precision, tolerance in ((torch.float32, FULL_TOLERANCE), (dtype, half)):
        its, its_gradient = _pass(model.to(context.device.torch), images, context.device, precision)
        errors = _error(its, logits), _error(its_gradient, gradient)
        # Gradients of the first layer have passed through all others twice.
        context.write(precision=str(precision), logits=errors[0], gradients=errors[1], ok=errors[0] < tolerance)


def _pass(
    model: torch.nn.Module, images: torch.Tensor, device: Device, precision: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    model.zero_grad()
    with torch.autocast(device.kind, precision, enabled=precision != torch.float32):
        logits = model(images.to(device.torch))
    logits.float().square().mean().backward()
    first = next(model.parameters()).grad
    assert first is not None
    return logits.detach().float().cpu(), first.detach().float().cpu().clone()


def _error(its: torch.Tensor, right: torch.Tensor) -> float:
    return ((its - right).norm() / right.norm()).item()
