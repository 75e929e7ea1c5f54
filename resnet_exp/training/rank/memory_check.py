"""Whether training and evaluation fit the memory, tried before the clock starts: images grow in the course of a run.

Without it a run whose images do not fit ends when progressive resizing comes to that size, or at its first evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import torch
from composer.core import State, get_precision_context
from composer.models import ComposerModel
from composer.trainer.trainer import _is_cuda_oom
from torch import Tensor, nn

from resnet_exp.config import schedule
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.training.algorithms import EMA, SAM
from resnet_exp.training.loaders import images_dtype

# What libraries say beside torch's own error.
NO_MEMORY = ("ALLOC_FAILED", "not enough memory", "unable to find an engine")


def check_memory(config: RunConfig, state: State) -> None:
    """Train on a batch of black images of the largest size of the run, and evaluate one; no number of the run changes.

    It does so on GPUs, or where ``hardware.check_memory`` is true.

    Raises:
        RequestError: the memory is too small; says how many images fit.
    """
    asked, on_gpu = config.hardware.check_memory, state.device.name == "gpu"
    if not (on_gpu if asked is None else asked):
        return
    with unchanged(state):
        if config.hardware.microbatch != "auto":
            _check_training(config, state)
        _check_evaluation(config, state)


def network(state: State) -> ComposerModel:
    """The model of a rank without what connects it to the other ranks."""
    model = state.model.module if state.is_model_ddp else state.model
    assert isinstance(model, ComposerModel)
    return model


def black_images(count: int, side: int, dtype: torch.dtype, state: State) -> tuple[Tensor, Tensor]:
    """A batch on the device as the loaders make it: dense NHWC images of shape NCHW, labels of shape N."""
    device = next(network(state).parameters()).device
    images = torch.zeros(count, side, side, 3, dtype=dtype, device=device).permute(0, 3, 1, 2)
    return images, torch.zeros(count, dtype=torch.int64, device=device)


@contextmanager
def rng_kept(state: State) -> Iterator[None]:
    """In a block, draw random numbers of torch that others do not miss."""
    devices = [torch.cuda.current_device()] if state.device.name == "gpu" else []
    with torch.random.fork_rng(devices):
        yield


@contextmanager
def unchanged(state: State) -> Iterator[None]:
    """Put back what training and evaluating a model change, apart from gradients, which nothing here keeps.

    What cuDNN chooses for a shape is what the run would choose for it: its settings are those of the run.
    """
    model = network(state)
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        with rng_kept(state):
            yield
    finally:
        for module, training in modes:
            module.training = training
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        _release(state)
        if state.device.name == "gpu":
            torch.cuda.reset_peak_memory_stats()


def _check_training(config: RunConfig, state: State) -> None:
    whole, part = config.rank_batch, config.hardware.microbatch
    count = min(part, whole) if isinstance(part, int) else whole
    side, model = max(schedule.sizes(config)), network(state).train()
    weights = trained_weights(state)

    def step(images: int) -> None:
        held = held_memory(state, several=images < whole)
        batch = black_images(whole, side, images_dtype(config, train=True), state)
        some = (batch[0][:images], batch[1][:images])
        with get_precision_context(state.precision):
            loss = model.loss(model(some), some)
        assert isinstance(loss, Tensor)
        # Not by `backward`: the gradients are this call's alone, and DistributedDataParallel does not see them.
        torch.autograd.grad(loss, weights, allow_unused=True)
        del held

    fitting = _largest(state, count, step)
    if fitting == count:
        return
    what = (
        f"hardware.device_train_microbatch_size={count}: training on {count} images"
        if isinstance(part, int)
        else f"train_batch_size={config.train_batch_size}: training on a device's share of {count} images"
    )
    fix = f"use hardware.device_train_microbatch_size={fitting}" if fitting else "use a smaller model"
    raise RequestError(f"{what} of {side} px needs more memory than there is ({room(state)}); {fix}")


def _check_evaluation(config: RunConfig, state: State) -> None:
    count, side = config.rank_eval_batch, config.resolution.eval_crop
    model = network(state).eval()

    def evaluate(images: int) -> None:
        batch = black_images(images, side, images_dtype(config, train=False), state)
        with torch.no_grad(), get_precision_context(state.precision):
            model(batch)

    fitting = _largest(state, count, evaluate)
    if fitting == count:
        return
    fix = f"use eval_batch_size={fitting * config.hardware.world_size}" if fitting else "use a smaller model"
    raise RequestError(
        f"eval_batch_size={config.eval_batch_size}: evaluating {count} images of {side} px at a time needs more memory "
        f"than there is ({room(state)}); {fix}"
    )


def _largest(state: State, count: int, run: Callable[[int], None]) -> int:
    """The first of `count`, its half, its quarter ... with which `run` fits the memory; 0 for none.

    The half is not tried with SyncBatchNorm: its ranks wait for each other in every layer, so one cannot begin again.
    """
    together = any(isinstance(module, nn.SyncBatchNorm) and module.training for module in state.model.modules())
    while count > 0 and not _fits(state, count, run):
        count //= 2
        if together:
            break
    return count


def _fits(state: State, count: int, run: Callable[[int], None]) -> bool:
    _release(state)
    try:
        run(count)
    except RuntimeError as error:
        if is_out_of_memory(error):
            return False
        raise
    return True


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a library says that the device's memory is not enough."""
    known = isinstance(error, torch.OutOfMemoryError) or _is_cuda_oom(error)
    return known or any(words in str(error) for words in NO_MEMORY)


def held_memory(state: State, several: bool) -> list[Tensor]:
    """As much memory as a step holds beside activations, as far as it is not taken yet.

    The optimizer's momentum, EMA's averages, SAM's copy of the weights, and with `several` microbatches the gradients
    of earlier ones.
    """
    copies = int(several)
    copies += any(not optimizer.state for optimizer in state.optimizers or ())
    for algorithm in state.algorithms:
        copies += isinstance(algorithm, SAM) or (isinstance(algorithm, EMA) and not algorithm.ema_started)
    return [torch.empty_like(weight) for _ in range(copies) for weight in trained_weights(state)]


def trained_weights(state: State) -> list[nn.Parameter]:
    """The parameters that have gradients."""
    return [weight for weight in network(state).parameters() if weight.requires_grad]


def _release(state: State) -> None:
    """Return cached memory: the run begins as without this check."""
    if state.device.name == "gpu":
        torch.cuda.empty_cache()


def room(state: State) -> str:
    """How much memory the device has, and what others have of it."""
    if state.device.name != "gpu":
        return f"{psutil.virtual_memory().total / 2**30:.1f} GiB"
    free, total = torch.cuda.mem_get_info()
    others = total - free - torch.cuda.memory_reserved()
    return f"{total / 2**30:.1f} GiB on {torch.cuda.get_device_name()}, {others / 2**30:.1f} GiB of it taken"
