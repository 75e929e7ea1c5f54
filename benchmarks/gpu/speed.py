"""Parts 4, 5 and 6: synchronizations, throughput, and what single parts of a step cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import step_contenders
import torch
from composer.algorithms.blurpool.blurpool_layers import BlurPool2d
from composer.algorithms.ema.ema import EMAParameters, compute_ema
from composer.optim import DecoupledSGDW
from step import Process
from torch import nn
from torch.nn import functional

from resnet_exp.training.algorithms.ema import update_averages
from resnet_exp.training.trainer import build_optimizer

from .bits import OPTIMIZER, SETTINGS, SMOOTHING
from .context import Context

# What of Mild costs time, as in results/published/rates.csv.
ALGORITHMS = "blurpool channels_last ema"
FAST, BARE_COMPILED = step_contenders.FAST, "bare loop, compiled"
CONTENDERS = ("ours, faithful", FAST, step_contenders.BARE, BARE_COMPILED)
# Expected are one a step, two in one of SAM, and one more every eighth step.
MOST_SYNCHRONIZATIONS = 3


def synchronizations(context: Context) -> None:
    """How often a step of each recipe waits for the GPU, and where."""
    scale, px = context.scale, context.scale.sides[0]
    processes = {name: _start(context, "ours, faithful", px, scale.batch, name) for name in scale.counted}
    for process in processes.values():
        process.send(px, 2)
        process.send(px, 5, syncs=1)
    for name, process in processes.items():
        process.receive()
        found = process.receive()
        process.end()
        a_step = found["syncs"]
        context.write(recipe=name, a_step=a_step, places=found["places"], ok=a_step <= MOST_SYNCHRONIZATIONS)


def _start(context: Context, name: str, largest: int, batch: int, recipe: str = "mild") -> Process:
    scale, kind = context.scale, context.device.kind
    return Process(name, scale.model, (batch, scale.batch), kind, None, recipe, largest, scale.backend)


def _sides(context: Context, name: str) -> tuple[int, ...]:
    """The sizes at which a contender is timed; compiling takes long."""
    compiled = {FAST: context.scale.compiled, BARE_COMPILED: context.scale.compiled[:1]}
    return compiled.get(name, context.scale.sides)


def compile_networks(context: Context) -> None:
    """Compile what `throughput` runs, all sizes at the same time; what the compiler makes is kept on disk."""
    pairs = [(name, px) for name in (FAST, BARE_COMPILED) for px in _sides(context, name)]
    processes = [_start(context, name, px, context.scale.batch) for name, px in pairs]
    began = time.perf_counter()
    for (_, px), process in zip(pairs, processes, strict=True):
        process.send(px, 1)
    for (name, px), process in zip(pairs, processes, strict=True):
        process.receive()
        context.write(contender=name, px=px, ready_after=time.perf_counter() - began)
        process.end()


def throughput(context: Context) -> None:
    """Images/s of our steps and of the bare loop, in turn, with the data on the device."""
    scale = context.scale
    processes = {
        name: _start(context, name, max(_sides(context, name)), scale.microbatches * scale.batch) for name in CONTENDERS
    }
    # At the same time: they start, and load what was compiled.
    for name, process in processes.items():
        for px in _sides(context, name):
            process.send(px, 1, images=scale.batch)
    for name, process in processes.items():
        for _ in _sides(context, name):
            process.receive()
    for batch in (scale.batch, scale.microbatches * scale.batch):
        for px in scale.sides if batch == scale.batch else scale.sides[::2]:
            chosen = {name: process for name, process in processes.items() if px in _sides(context, name)}
            _one_size(context, chosen, batch, px)
    for process in processes.values():
        process.end()


def _one_size(context: Context, processes: dict[str, Process], batch: int, px: int) -> None:
    scale, whole = context.scale, batch == context.scale.batch
    steps, order = scale.steps if whole else max(1, scale.steps // 3), {"images": batch}
    for process in processes.values():
        process.order(px, scale.warm if whole else 1, **order)
    rounds = [
        {name: process.order(px, steps, **order) for name, process in processes.items()} for _ in range(scale.rounds)
    ]
    for name, process in processes.items():
        seconds = [found[name]["median"] for found in rounds]
        profile = process.order(px, 3 if whole else 1, profile=1, **order)
        speed = {"speed": name.removeprefix("ours, "), "model": scale.model} if name.startswith("ours") else {}
        context.write(
            contender=name, px=px, batch=batch, images_per_second=batch / statistics.median(seconds),
            milliseconds=[1e3 * each for each in seconds], gib=rounds[-1][name]["peak"] / 2**30,
            kernels=profile["kernels"], busy=profile["busy"], algorithms=ALGORITHMS,
            precision="amp_fp16" if context.device.kind == "cuda" else "fp32",
            # The plan reads the lines that say what arithmetic they had.
            **(speed if whole else {}),
        )  # fmt: skip


def parts(context: Context) -> None:
    """Milliseconds of single parts of a step."""
    device = context.device
    network = step_contenders.make_network(context.scale.model).to(device.torch)
    weights = list(network.parameters())
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    theirs, mine = DecoupledSGDW(weights, **SETTINGS), build_optimizer(weights, OPTIMIZER)
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
    """One update of the moving average: one weight at a time, and ours."""
    average = EMAParameters(network)
    averages = {**average.named_parameters_dict, **average.named_buffers_dict}
    return {
        "moving average, Composer's": lambda: compute_ema(network, average, smoothing=SMOOTHING),
        "moving average, ours": lambda: update_averages(averages, network, SMOOTHING),
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
        began = context.device.moment()
        work()
        times.append(context.device.moment().since(began))
    return min(times)
