"""Parts 4, 5 and 6: synchronizations, throughput, and what single parts of a step cost."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import step_contenders
import torch
from composer.algorithms.blurpool.blurpool_layers import BlurPool2d
from composer.algorithms.ema.ema import EMA as ComposerEMA
from composer.optim import DecoupledSGDW
from step import Process
from torch import nn
from torch.nn import functional

from resnet_exp.training.trainer import build_optimizer

from .context import Context
from .correctness import RECIPES
from .resume import OPTIMIZER

# What of Mild costs time, as in results/published/rates.csv.
ALGORITHMS = "blurpool channels_last ema"
MICROBATCHES = 8
SMALL = ("ours, faithful", step_contenders.FAST, step_contenders.BARE)


def synchronizations(context: Context) -> None:
    """How often a step of each recipe waits for the GPU, and where."""
    scale = context.scale
    processes = {
        name: Process("ours, faithful", scale.model, (scale.batch, scale.batch), context.device.kind, None, name)
        for name in RECIPES
    }
    for name, process in processes.items():
        process.order(scale.sides[0], 2)
        found = process.order(scale.sides[0], 5, syncs=1)
        process.end()
        context.write(recipe=name, a_step=found["syncs"], places=found["places"])


def throughput(context: Context) -> None:
    """Images/s of our steps and of the bare loop, in turn, with the data on the device."""
    scale = context.scale
    names = [name for name in SMALL if name in step_contenders.names()]
    for batch in (scale.batch, MICROBATCHES * scale.batch):
        sides = scale.sides if batch == scale.batch else scale.sides[::2]
        processes = {
            name: Process(name, scale.model, (batch, scale.batch), context.device.kind)
            for name in (*names, *(["bare loop, compiled"] if batch == scale.batch else []))
        }
        for px in sides:
            _one_size(context, processes, batch, px)
        for process in processes.values():
            process.end()


def _one_size(context: Context, processes: dict[str, Process], batch: int, px: int) -> None:
    scale = context.scale
    steps = scale.steps if batch == scale.batch else max(1, scale.steps // 3)
    # Compiling takes long: two sizes show what it brings.
    chosen = {name: each for name, each in processes.items() if "compiled" not in name or px in scale.sides[::2]}
    for process in chosen.values():
        process.order(px, scale.warm if batch == scale.batch else 2)
    rounds = [{name: process.order(px, steps) for name, process in chosen.items()} for _ in range(scale.rounds)]
    for name, process in chosen.items():
        seconds = [found[name]["median"] for found in rounds]
        profile = process.order(px, 3, profile=1)
        speed = {"speed": name.removeprefix("ours, "), "model": scale.model} if name.startswith("ours") else {}
        context.write(
            contender=name, px=px, batch=batch, images_per_second=batch / statistics.median(seconds),
            milliseconds=[1e3 * each for each in seconds], gib=rounds[-1][name]["peak"] / 2**30,
            kernels=profile["kernels"], busy=profile["busy"], algorithms=ALGORITHMS,
            precision="amp_fp16" if context.device.kind == "cuda" else "fp32",
            # The plan reads the lines that say what arithmetic they had.
            **(speed if batch == scale.batch else {}),
        )  # fmt: skip


def parts(context: Context) -> None:
    """Milliseconds of single parts of a step."""
    device = context.device
    network = step_contenders.make_network(context.scale.model).to(device.torch)
    weights = list(network.parameters())
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    settings = {"lr": OPTIMIZER.lr, "momentum": OPTIMIZER.momentum, "weight_decay": OPTIMIZER.weight_decay}
    theirs, mine = DecoupledSGDW(weights, **settings), build_optimizer(weights, OPTIMIZER)
    work: dict[str, Callable[[], object]] = {"optimizer, Composer's": theirs.step, "optimizer, ours": mine.step}
    work |= _averages(network)
    for px in context.scale.sides[::2]:
        work |= {f"{name}, {px} px": each for name, each in _blurs(context, px).items()}
        work |= {f"{name}, {px} px": each for name, each in _precisions(context, network, px).items()}
    if device.kind == "cuda":
        work["memory_stats"] = torch.cuda.memory_stats
    for name, each in work.items():
        context.write(what=name, milliseconds=1e3 * _time(context, each))


def _averages(network: nn.Module) -> dict[str, Callable[[], object]]:
    """One update of the moving average: one weight at a time, and as a list."""
    from composer.algorithms.ema.ema import EMAParameters, compute_ema

    assert ComposerEMA
    average = EMAParameters(network)
    now = [each.detach() for each in network.parameters()]
    kept = [each.clone() for each in now]
    return {
        "moving average, Composer's": lambda: compute_ema(network, average, smoothing=0.87),
        "moving average, a list": lambda: torch._foreach_lerp_(kept, now, 0.13),
    }


def _blurs(context: Context, px: int) -> dict[str, Callable[[], object]]:
    side, kind = -(-px // 2), context.device.kind
    images = torch.randn(context.scale.batch, 64, side, side, device=context.device.torch)
    images = images.to(torch.float16 if kind == "cuda" else torch.float32, memory_format=torch.channels_last)
    blur = BlurPool2d(channels=64, stride=2).to(context.device.torch, images.dtype)
    return {
        "blur, depthwise convolution": lambda: blur(images),
        "blur, two mean pools": lambda: functional.avg_pool2d(functional.avg_pool2d(images, 2, 1, 1), 2, 2),
        "max pool with indices": lambda: functional.max_pool2d(images, 3, 1, 1, return_indices=True),
        "max pool": lambda: functional.max_pool2d(images, 3, 1, 1),
    }


def _precisions(context: Context, network: nn.Module, px: int) -> dict[str, Callable[[], object]]:
    images = torch.randn(context.scale.batch, 3, px, px, device=context.device.torch)

    def train(images: torch.Tensor, dtype: torch.dtype) -> None:
        with torch.autocast(context.device.kind, dtype, enabled=dtype != torch.float32):
            loss = network(images).square().mean()
        loss.backward()

    # Half precision takes a CPU half a minute.
    half = torch.float16 if context.device.kind == "cuda" else torch.bfloat16
    flat, last = images.contiguous(), images.to(memory_format=torch.channels_last)
    return {
        "forward and backward, fp16": lambda: train(last, half),
        "forward and backward, bf16": lambda: train(last, torch.bfloat16),
        "forward and backward, fp32": lambda: train(last, torch.float32),
        "forward and backward, fp16, images NCHW": lambda: train(flat, half),
    }


def _time(context: Context, work: Callable[[], object]) -> float:
    """Seconds of the fastest of some."""
    work()
    times = []
    for _ in range(context.scale.repeats):
        begin = context.device.event()
        work()
        end = context.device.event()
        times.append(end() - begin())
    return min(times)
