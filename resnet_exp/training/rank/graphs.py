"""The graphs of a compiled network (``speed.compile``): one for each shape, made before the clock starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from composer.core import State, get_precision_context
from torch import Tensor

from resnet_exp.config import schedule
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import plural
from resnet_exp.data.contract import Loader
from resnet_exp.training.loaders import images_dtype
from resnet_exp.training.rank.memory_check import (
    black_images,
    held_memory,
    is_out_of_memory,
    network,
    room,
    unchanged,
)

# Graphs beyond those of the schedule, for what a user's own algorithms do to the images.
SPARE_GRAPHS = 8


def not_compiled() -> AbstractContextManager[Any]:
    """In a block, what is compiled runs as it is: nothing is compiled for a shape that is only tried."""
    return torch.compiler.set_stance("force_eager")


def make_graphs(config: RunConfig, state: State, evaluation: Loader) -> None:
    """Train and evaluate on black images of each shape that is still to come; changes nothing but what is compiled.

    Args:
        config: of the run.
        state: with the model and how far training is.
        evaluation: loader of this rank's share of the evaluation images.

    Raises:
        RequestError: the compiler fails, or the memory is too small.
    """
    if not config.speed.compile:
        return
    import torch._dynamo

    shapes = [*_training_shapes(config, state), *_evaluation_shapes(config, evaluation)]
    limits = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, len(shapes) + SPARE_GRAPHS)
    console.status(f"starting: compiling the network for {plural(len(shapes), 'shape')}, once on this machine")
    with unchanged(state), get_precision_context(state.precision):
        # Graphs keep memory, CUDA graphs a pool of it: what fitted beside a step without them may not fit any more.
        held = held_memory(state, several=False)
        for shape in shapes:
            with _compiler_errors(), _memory_errors(config, state, shape), _cuda_graphs(config, shape):
                dtype = images_dtype(config, shape.train)
                _pass(state, shape.train, black_images(shape.count, shape.side, dtype, state))
        del held
    state.model.zero_grad()
    console.status("")


@dataclass(frozen=True)
class _Shape:
    """Of the images of a pass, whose side is in pixels."""

    train: bool
    count: int
    side: int


def _training_shapes(config: RunConfig, state: State) -> Iterator[_Shape]:
    """Those of the microbatches from here on."""
    whole, part = config.rank_batch, config.hardware.microbatch
    part = min(part, whole) if isinstance(part, int) else whole
    _, unit = schedule.scaled_duration(config)
    done = state.timestamp.epoch.value if unit == "ep" else state.timestamp.batch.value
    for side in sorted({*schedule.sizes(config)[done:]}):
        yield from (_Shape(True, count, side) for count in {part, whole % part} - {0})


def _evaluation_shapes(config: RunConfig, evaluation: Loader) -> Iterator[_Shape]:
    batch, share = config.rank_eval_batch, -(-evaluation.images // config.hardware.world_size)
    counts = {min(batch, share), share % batch} - {0}
    yield from (_Shape(False, count, config.resolution.eval_crop) for count in counts)


def _pass(state: State, train: bool, batch: tuple[Tensor, Tensor]) -> None:
    """Through the model as the trainer does, so that what is compiled has buckets where DistributedDataParallel has."""
    classifier = network(state)
    state.model.train(train)
    if not train:
        with torch.no_grad():
            classifier.eval_forward(batch)
        return
    loss = classifier.loss(state.model(batch), batch)
    assert isinstance(loss, Tensor)
    loss.backward()


@contextmanager
def _cuda_graphs(config: RunConfig, shape: _Shape) -> Iterator[None]:
    """What is compiled in the block is replayed as a CUDA graph, if that is wanted for training at that size."""
    from torch._inductor import config as inductor

    wanted = shape.train and shape.side <= config.speed.cuda_graphs_up_to
    with inductor.patch({"triton.cudagraphs": True} if wanted else {}):
        yield


@contextmanager
def _memory_errors(config: RunConfig, state: State, shape: _Shape) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        key = "hardware.device_train_microbatch_size" if shape.train else "eval_batch_size"
        less = "speed.cuda_graphs_up_to=0" if config.speed.cuda_graphs_up_to else "speed=faithful"
        raise RequestError(
            f"speed={config.speed.name}: for {shape.count} images of {shape.side} px a compiled network needs more "
            f"memory than there is ({room(state)}); use a smaller {key}, or {less}"
        ) from error


@contextmanager
def _compiler_errors() -> Iterator[None]:
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import CppCompileError, InvalidCxxCompiler

    try:
        yield
    except (TorchDynamoException, CppCompileError, InvalidCxxCompiler) as error:
        reason = str(error).strip().partition("\n")[0]
        raise RequestError(
            f"speed.compile=true: torch cannot compile here ({reason}); install a C++ compiler, such as g++, "
            "or set CXX to one that works, or use speed=faithful"
        ) from error
