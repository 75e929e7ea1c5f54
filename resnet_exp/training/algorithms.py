"""Composer algorithms with the original system's behavior where today's Composer differs (docs/fidelity.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from composer.algorithms import EMA as ComposerEMA
from composer.algorithms import RandAugment as ComposerRandAugment
from composer.algorithms import StochasticDepth as ComposerStochasticDepth
from composer.algorithms.sam.sam import SAMOptimizer
from composer.core import Algorithm, Event, State
from composer.loggers import Logger
from torch import nn
from torch.optim import Optimizer
from torchvision.models.resnet import Bottleneck

from resnet_exp.data.contract import Augmenting

STEP = "sam_step"
BEFORE = "before"


class ResumableSAMOptimizer(SAMOptimizer):
    """Composer's SAM optimizer that shares its state with the optimizer it wraps, and restores weights exactly.

    Composer 0.32.1 checkpoints neither the momentum of the wrapped optimizer nor the step counter, so a resumed
    run silently resets both. It also adds and then subtracts each rank's own ascent step, after which the ranks'
    weights differ by rounding errors.
    """

    def __init__(self, base_optimizer: Optimizer, rho: float, epsilon: float, interval: int) -> None:
        """See ``composer.algorithms.SAM``."""
        super().__init__(base_optimizer, rho=rho, epsilon=epsilon, interval=interval)
        self._share()
        self.global_step = 0

    def _share(self) -> None:
        self.param_groups = self.base_optimizer.param_groups
        self.state = self.base_optimizer.state

    @property
    def global_step(self) -> int:
        """Steps taken; kept in the first parameter group, which checkpoints carry."""
        return self.param_groups[0][STEP]

    @global_step.setter
    def global_step(self, value: int) -> None:
        # Composer's constructor sets it before the parameter groups exist.
        if self.__dict__.get("param_groups"):
            self.param_groups[0][STEP] = value

    def step(self, closure: Callable[..., Any] | None = None) -> Any:  # pyright: ignore
        """One step. Does nothing without a closure: loading a checkpoint calls it that way to create the state."""
        if closure is None:
            return self.base_optimizer.step()
        loss = super().step(closure)
        for state in self.state.values():
            state.pop("e_w", None)
            state.pop(BEFORE, None)
        return loss

    @torch.no_grad()
    def first_step(self) -> None:
        """Ascend along the gradient, and keep a copy of the weights."""
        for weight in self._weights():
            self.state[weight][BEFORE] = weight.detach().clone()
        super().first_step()

    @torch.no_grad()
    def second_step(self) -> None:
        """Restore the weights and step the wrapped optimizer."""
        self.sub_e_w()
        self.base_optimizer.step()

    @torch.no_grad()
    def sub_e_w(self) -> None:
        """Restore the weights from before the ascent."""
        for weight in self._weights():
            if BEFORE in self.state[weight]:
                weight.copy_(self.state[weight][BEFORE])

    def _weights(self) -> list[nn.Parameter]:
        return [weight for group in self.param_groups for weight in group["params"] if weight.grad is not None]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the shared state."""
        self.base_optimizer.load_state_dict(state_dict)
        self._share()


class SAM(Algorithm):
    """Sharpness-aware minimization every ``interval`` batches (Foret et al., 2020), wrapped around the optimizer.

    Runs on ``Event.INIT``, as in Composer 0.7.1, so that a checkpoint is loaded into the wrapped optimizer.
    """

    def __init__(self, rho: float, epsilon: float, interval: int) -> None:
        """See ``composer.algorithms.SAM``."""
        self.rho, self.epsilon, self.interval = rho, epsilon, interval

    def match(self, event: Event, state: State) -> bool:
        """True on ``Event.INIT``."""
        return event == Event.INIT

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        """Wrap the optimizer."""
        assert state.optimizers is not None
        state.optimizers = tuple(
            ResumableSAMOptimizer(optimizer, self.rho, self.epsilon, self.interval) for optimizer in state.optimizers
        )


class EMA(ComposerEMA):
    """Composer's moving average of the weights, started at the first update as in Composer 0.7.1.

    Today's Composer starts from a copy of the weights after the first batch.
    """

    def match(self, event: Event, state: State) -> bool:
        """Delay the start until an update is due."""
        due = state.timestamp.get(self.update_interval.unit).value % self.update_interval.value == 0
        if event == self.update_event and not self.ema_started and not due:
            return False
        return super().match(event, state)


class RandAugment(ComposerRandAugment):
    """Composer's RandAugment, done by the loader itself if it can: Composer's own needs Pillow images."""

    def match(self, event: Event, state: State) -> bool:
        """True when training begins."""
        return event == Event.FIT_START and (isinstance(state.dataloader, Augmenting) or super().match(event, state))

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        """Tell the loader, or change its dataset."""
        if isinstance(state.dataloader, Augmenting):
            state.dataloader.randaugment(self.augmentation_set, self.severity, self.depth)
        else:
            super().apply(event, state, logger)


class StochasticDepth(ComposerStochasticDepth):
    """Composer's stochastic depth, with a choice of the blocks' initial weights.

    Composer 0.7.1 replaced each bottleneck by a new one, so that the recipe's initial weights survived only in the
    stem, the downsampling convolutions and the classifier (fixed in 0.8.0, #1085). The published Hot runs used 0.7.1.
    """

    def __init__(self, reset_blocks: bool, **settings: Any) -> None:
        """`reset_blocks` gives the blocks PyTorch's default weights; the rest as ``composer.algorithms``."""
        super().__init__(**settings)
        self.reset_blocks = reset_blocks

    def apply(self, event: Event, state: State, logger: Logger) -> int | None:
        """Make the blocks stochastic, on ``Event.INIT``."""
        if event == Event.INIT and self.reset_blocks:
            for block in state.model.modules():
                if isinstance(block, Bottleneck):
                    _reset(block)
        return super().apply(event, state, logger)


def _reset(block: Bottleneck) -> None:
    kept = set(block.downsample.modules()) if block.downsample is not None else set()
    for module in block.modules():
        if module not in kept and isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.SyncBatchNorm)):
            weight = module.weight.data
            # In the order of the indices; torch 2.7 would draw in that of memory, which channels_last changes.
            module.weight.data = weight.contiguous()
            module.reset_parameters()
            module.weight.data = weight.copy_(module.weight.data)


def listed_order(algorithms: Sequence[Algorithm], event: Event) -> Sequence[Algorithm]:
    """Engine pass: on ``AFTER_DATALOADER`` run the algorithms as listed: ColOut, then progressive resizing.

    Composer 0.7.1 reversed the order on the events of its ``_AFTER_EVENTS``, which leave this one out; today's
    ``set_filo_order`` reverses it on every ``AFTER_*`` event, and this pass runs after that one.
    """
    return list(reversed(algorithms)) if event == Event.AFTER_DATALOADER else algorithms


def ema_weights(model: nn.Module, algorithms: list[Algorithm]) -> dict[str, torch.Tensor]:
    """State of the network under torchvision's names, with the averaged weights where EMA is on.

    After training, the model holds EMA's or the raw weights, depending on whether Composer saved last.
    """
    weights = {_unwrapped_name(name): value for name, value in model.state_dict().items() if name.startswith("module.")}
    for algorithm in algorithms:
        # Before it starts, EMA holds the initial weights.
        if isinstance(algorithm, ComposerEMA) and algorithm.ema_started and not algorithm.ema_weights_active:
            assert algorithm.ema_model is not None
            averaged = {**algorithm.ema_model.named_parameters_dict, **algorithm.ema_model.named_buffers_dict}
            weights |= {_unwrapped_name(name): value for name, value in averaged.items() if name.startswith("module.")}
    return {name: value.detach().cpu().clone() for name, value in weights.items()}


def _unwrapped_name(name: str) -> str:
    """Name of a weight without the ``module.`` prefixes of ComposerClassifier and of DistributedDataParallel."""
    while name.startswith("module."):
        name = name.removeprefix("module.")
    return name
