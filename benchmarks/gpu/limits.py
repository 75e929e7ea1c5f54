"""Part 4: too little memory: microbatches that adapt, SAM's second pass, and a run that is refused in one line."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import torch
from composer.utils import dist

from resnet_exp.launch.config_file import write_config
from resnet_exp.training.trainer import Training, build_device
from support.configs import make_config

from .context import Context

WAIT = 200
# Loss scaling may skip the first ones.
BATCHES = 8


def limits(context: Context) -> None:
    """A command line beside two runs in this process."""
    refused = _start_refused(context)
    _auto(context)
    _sam(context)
    _write_refused(context, refused)


def _words(context: Context, name: str) -> list[str]:
    scale, px = context.scale, context.scale.limited_px
    return [
        f"model={scale.model}", "dataset=imagenet", "dataset.dir=/tmp", "data=synthetic", "ssr=1", "loggers=[]",
        f"data.loader.train_images={(BATCHES + 1) * scale.limited_batch}", "data.loader.val_images=8",
        "data.loader.distinct_images=8", f"resolution.train={px}", f"resolution.eval_crop={px}",
        f"resolution.eval_resize={px}", f"train_batch_size={scale.limited_batch}", "eval_batch_size=4",
        "optimizer.lr=0.01", f"schedule.max_duration={BATCHES}ba", "schedule.warmup=1ba",
        f"runs_dir={context.folder / 'limits'}", f"run_id={name}", "~algorithms.progressive_resizing",
    ]  # fmt: skip


def _training(context: Context, name: str, *words: str) -> Training:
    config = make_config(*_words(context, name), context.hardware, *words)
    config.folder.checkpoints.mkdir(parents=True)
    write_config(config.folder, config)
    dist.initialize_dist(build_device(config.hardware))
    return Training(config, config.folder)


def _auto(context: Context) -> None:
    """With ``auto``, a batch that does not fit is trained on in smaller parts."""
    scale, device = context.scale, context.device
    auto = ["hardware.device_train_microbatch_size=auto"] if device.kind == "cuda" else []
    training = _training(context, "auto", "recipe=mild", *auto)
    state = training.trainer.state
    # The command line refuses `auto` on a CPU, whose memory nobody limits.
    state.auto_microbatching = True
    device.limit_memory(scale.limited_gib)
    device.limit_images(state.model, scale.limited_pixels)
    training.trainer.fit()
    device.limit_memory(None)
    found, batches = state.device_train_microbatch_size, state.timestamp.batch.value
    finite = all(torch.isfinite(weight).all() for weight in state.model.parameters())
    right = found is not None and 0 < found < scale.limited_batch and batches == BATCHES and finite
    context.write(what="microbatch=auto", batch=scale.limited_batch, microbatch=found, batches=batches, ok=right)


def _sam(context: Context) -> None:
    """SAM's second pass fails for want of memory: the weights are those before the batch."""
    training = _training(
        context, "sam", "recipe=hot", "~algorithms.randaugment", "algorithms.sam.interval=1",
        "hardware.check_memory=false",
    )  # fmt: skip
    state = training.trainer.state
    optimizer: Any = state.optimizers[0]
    climb, before, steps = optimizer.first_step, list[torch.Tensor](), list[int]()

    def climb_into_the_limit() -> None:
        steps.append(optimizer.global_step)
        if len(steps) == 2:
            before.extend(weight.detach().clone() for weight in state.model.parameters())
        climb()
        if len(steps) == 2:
            context.device.exhaust_memory(state.model)

    optimizer.first_step = climb_into_the_limit
    said = "nothing"
    try:
        training.trainer.fit()
    except RuntimeError as error:
        said = type(error).__name__
    context.device.limit_memory(None)
    after = [weight.detach() for weight in state.model.parameters()]
    restored = len(before) > 0 and all(torch.equal(*pair) for pair in zip(before, after, strict=True))
    right = restored and said == torch.OutOfMemoryError.__name__ and optimizer.global_step == steps[-1]
    context.write(what="second pass of SAM", raised=said, restored=restored, steps=optimizer.global_step, ok=right)


def _start_refused(context: Context) -> subprocess.Popen[str]:
    scale = context.scale
    little = "+callbacks.little"
    limit = (f"{little}._target_=gpu.little_memory.LittleMemory", f"{little}.gib={scale.limited_gib}")
    words = ["recipe=hot", "~algorithms.randaugment", "hardware.check_memory=true", *limit]
    words += [f"{little}.pixels={scale.limited_pixels}"]
    return context.start([*_words(context, "refused"), *words], stderr=_said(context))


def _said(context: Context) -> Path:
    return context.folder / "refused.txt"


def _write_refused(context: Context, process: subprocess.Popen[str]) -> None:
    code, said = process.wait(WAIT), _said(context).read_text()
    right = code == 2 and said.count("\n") == 1 and "; use hardware.device_train_microbatch_size=" in said
    context.write(what="SAM that does not fit", exit_code=code, said=said.strip(), ok=right)
