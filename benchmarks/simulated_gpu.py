"""A GPU that computes nothing: what a run would launch there, and what its host would wait for.

The device is torch's ``meta``: tensors have shapes and no data, so a step of ResNet-50 takes a second. A dispatch mode
sees each operation. It counts

- kernels: one for each operation that is no view and allocates no memory only; for operations on lists of tensors those
  of CUDA's ``multi_tensor_apply`` (ATen/native/cuda/ForeachFunctors.cuh and MultiTensorApply.cuh, torch 2.7);
- waits: numbers read on the host, and copies between host and device that the host does not leave to the device;
- collectives: what is asked of other ranks through Composer. Those of DistributedDataParallel are not among them.
"""

from __future__ import annotations

import collections
import contextlib
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from composer.core import Callback, Precision, State
from composer.devices import Device
from composer.loggers import Logger
from composer.utils import dist
from hydra import compose, initialize_config_dir
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from resnet_exp.config import resolvers
from resnet_exp.config.finalize import finalize
from resnet_exp.core import paths
from resnet_exp.training import trainer

META = torch.device("meta")
# Operations that launch nothing.
VIEWS = frozenset(
    (
        *("view", "t", "transpose", "detach", "alias", "expand", "as_strided", "permute", "split", "select", "slice"),
        *("unsqueeze", "squeeze", "_unsafe_view", "reshape", "_reshape_alias", "view_as", "unbind", "chunk"),
        *("split_with_sizes", "empty", "empty_like", "new_empty", "empty_strided", "resize_", "set_", "lift_fresh"),
        *("is_pinned", "_local_scalar_dense"),
    )
)
# Of multi_tensor_apply: the most tensors a launch takes, by the number of lists; the most blocks; elements of a block.
MOST_TENSORS, MOST_BLOCKS, CHUNK = {1: 110, 2: 64, 3: 48, 4: 36}, 320, 65536
T = TypeVar("T")


class SimulatedGPU(Device):
    """Composer's device for tensors without data. It remembers the numbers that the host sent, to be read back."""

    dist_backend = "gloo"
    name = "gpu"
    _device = META

    def module_to_device(self, module: T) -> T:
        """Move a module; one that is there already stays the same."""
        return module.to(META)  # pyright: ignore

    def tensor_to_device(self, tensor: Tensor) -> Tensor:
        """Move a tensor, as ``DeviceGPU`` does: the host does not wait."""
        sent = tensor.to(META, non_blocking=True)
        if tensor.device.type == "cpu" and tensor.numel() <= 2:
            sent.number = tensor.tolist()  # pyright: ignore
        return sent


@dataclass
class StepCounts:
    """What one step launched and waited for, by name."""

    kernels: collections.Counter[str] = field(default_factory=collections.Counter)
    waits: collections.Counter[str] = field(default_factory=collections.Counter)
    collectives: collections.Counter[str] = field(default_factory=collections.Counter)


class Counting(TorchDispatchMode):
    """Counts what happens on the simulated device, a step at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = StepCounts()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count an operation, and stand in for those that need data."""
        name, kwargs = func._schema.name.partition("::")[2], kwargs or {}
        inputs = [value for value in tree_iter((args, kwargs)) if isinstance(value, Tensor)]
        there = [value for value in inputs if value.device == META]
        if name == "_local_scalar_dense" and there:
            self.now.waits[f"read of {str(args[0].dtype).removeprefix('torch.')}"] += 1
            return self._number(args[0])
        if name in ("_to_copy", "copy_"):
            target = kwargs.get("device") or (args[0].device if name == "copy_" else inputs[0].device)
            source = inputs[-1].device
            if source == META and target != META:
                self.now.waits["copy to the host"] += 1
                number = getattr(args[0], "number", None)
                return torch.zeros(args[0].shape, dtype=args[0].dtype) if number is None else torch.tensor(number)
            if source != META and target == META and not kwargs.get("non_blocking") and source.type == "cpu":
                self.now.waits["copy from the host"] += 1
        if name in ("index", "index_put_", "_index_put_impl_") and args[0].device == META:
            for index in args[1]:
                if index is not None and (index.dtype == torch.bool or index.device != META):
                    self.now.waits["copy of indices"] += 1
        if name.endswith("_") and hasattr(args[0], "number"):
            del args[0].number  # it is another one now
        made = func(*args, **kwargs)
        made_there = any(isinstance(value, Tensor) and value.device == META for value in tree_iter(made))
        if name not in VIEWS and (there or made_there):
            self.now.kernels[name] += launches(args) if name.startswith(("_foreach", "_amp_foreach")) else 1
        return made

    @staticmethod
    def _number(tensor: Tensor) -> float:
        """What the host reads: what it sent, else no overflow for a flag and a loss for a loss."""
        number = getattr(tensor, "number", None)
        if number is not None:
            return number[0] if isinstance(number, list) else number
        return 1.0 if tensor.is_floating_point() and tensor.shape == (1,) else 0

    def take(self) -> StepCounts:
        """What happened since the last call."""
        counts, self.now = self.now, StepCounts()
        return counts


def launches(args: Sequence[Any]) -> int:
    """Launches of ``multi_tensor_apply`` for an operation on lists of tensors."""
    lists = [value for value in args if isinstance(value, (list, tuple)) and value and isinstance(value[0], Tensor)]
    count, tensors, blocks = 0, 0, 0
    for tensor in lists[0]:
        chunks = math.ceil(tensor.numel() / CHUNK)
        tensors += chunks > 0
        for chunk in range(chunks):
            blocks += 1
            full = tensors == MOST_TENSORS[len(lists)] and chunk == chunks - 1
            if full or blocks == MOST_BLOCKS:
                count, blocks, tensors = count + 1, 0, int(chunk < chunks - 1)
    return count + (blocks > 0)


class _Enough(Exception):
    """Enough steps are counted."""


class _Steps(Callback):
    """Ends the count of a step with each batch, and the run after `steps`."""

    def __init__(self, counting: Counting, steps: int) -> None:
        self.counts: list[StepCounts] = []
        self._counting, self._steps = counting, steps

    def fit_start(self, state: State, logger: Logger) -> None:
        self._counting.take()

    def batch_checkpoint(self, state: State, logger: Logger) -> None:
        self.counts.append(self._counting.take())
        if len(self.counts) >= self._steps:
            raise _Enough


def count_steps(recipe: str, steps: int, *overrides: str) -> list[StepCounts]:
    """Train ResNet-50 for `steps` batches of two small images with loss scaling, as on a GPU; the counts of each."""
    counting = Counting()
    watch = _Steps(counting, steps)
    with tempfile.TemporaryDirectory() as runs, _simulated(counting), counting:
        images = f"data.loader.train_images={2 * steps + 2}"
        training = build_training(runs, f"recipe={recipe}", images, *overrides)
        state = training.trainer.state
        state.callbacks.append(watch)
        # Loss scaling without half precision, which neither the command line nor torch takes without a GPU.
        state.precision = Precision.AMP_FP16
        kind = type(state.scaler) if training.trainer._use_closures() else GradScaler
        state.scaler = kind(device="cpu")  # pyright: ignore
        with contextlib.suppress(_Enough):
            training.trainer.fit()
    return watch.counts


def build_training(runs: str, *overrides: str) -> trainer.Training:
    """A run as the command line would make it, of synthetic images of 64 px, without checkpoints and evaluations."""
    words = [
        *("dataset=imagenet", "dataset.dir=unused", "data=synthetic", "hardware=cpu", "loggers=[]", "ssr=0.2"),
        *("train_batch_size=2", "eval_batch_size=2", "resolution.train=64", "resolution.eval_crop=64"),
        *("resolution.eval_resize=64", "data.loader.val_images=2", "data.loader.distinct_images=4"),
        *("checkpoint_interval=1000ep", "eval_interval=1000ep", f"runs_dir={runs}", f"data.cache_dir={runs}/cache"),
        *overrides,
    ]
    if "recipe=hot" in words:
        words.append("~algorithms.randaugment")
    resolvers.register()
    with initialize_config_dir(str(paths.conf_dir()), version_base="1.3"):
        config = finalize(compose("config", words), words)
    # There is no memory to check; earlier versions have no such key.
    if hasattr(config.hardware, "check_memory"):
        config = replace(config, hardware=replace(config.hardware, check_memory=False))
    config.folder.checkpoints.mkdir(parents=True)
    return trainer.Training(config, config.folder)


@contextmanager
def _simulated(counting: Counting) -> Iterator[None]:
    """Build trainers for the simulated device, and count collectives of Composer in place of doing them."""

    def count(name: str, answer: Any = None) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            counting.now.collectives[name] += 1
            return answer(*args) if answer else None

        return call

    build_model = trainer.build_model
    patches: dict[tuple[Any, str], Any] = {
        (trainer, "build_device"): lambda hardware: SimulatedGPU(),
        (trainer, "build_model"): lambda config: _on_meta(build_model(config)),
        (dist, "all_reduce"): count("all_reduce"),
        (dist, "broadcast"): count("broadcast"),
        (dist, "all_gather_object"): count("all_gather_object", lambda value: [value]),
    }
    kept = {place: getattr(*place) for place in patches}
    try:
        for place, value in patches.items():
            setattr(*place, value)
        yield
    finally:
        for place, value in kept.items():
            setattr(*place, value)


def _on_meta(model: nn.Module) -> nn.Module:
    # Before the optimizer is made: a move to "meta" replaces the parameters, one to a GPU keeps them.
    return model.to(META)
