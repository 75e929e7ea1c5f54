"""Composer's EMA, started at its first update, and the weights that it has averaged (docs/fidelity.md)."""

from __future__ import annotations

from itertools import chain
from typing import ClassVar

import torch
from composer.algorithms import EMA as ComposerEMA
from composer.core import Algorithm, Event, State
from composer.loggers import Logger
from torch import Tensor, nn

from resnet_exp.training.step import foreach
from resnet_exp.training.weight_files import unwrapped


class EMA(ComposerEMA):
    """Composer's moving average of the weights, started at the first update as in Composer 0.7.1.

    Composer 0.32.1 starts from a copy of the weights after the first batch.
    """

    # Where it does something.
    HEARD: ClassVar = frozenset(
        (
            *(Event.INIT, Event.FIT_START, Event.PREDICT_START, Event.EVAL_START, Event.EVAL_END, Event.BATCH_START),
            *(Event.BATCH_END, Event.EPOCH_END, Event.BATCH_CHECKPOINT, Event.EPOCH_CHECKPOINT),
        )
    )

    def match(self, event: Event, state: State) -> bool:
        """Delay the start until an update is due."""
        if event not in self.HEARD or (event == Event.BATCH_START and not self.ema_weights_active):
            return False
        if event is self.update_event:
            due = state.timestamp.get(self.update_interval.unit).value % self.update_interval.value == 0
            return due and super().match(event, state)
        return super().match(event, state)

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        """Update the average of all weights together; the rest is Composer's."""
        if event in (Event.BATCH_END, Event.EPOCH_END):
            assert self.ema_model is not None and self.smoothing is not None
            averages = {**self.ema_model.named_parameters_dict, **self.ema_model.named_buffers_dict}
            update_averages(averages, state.model, self.smoothing)
        else:
            super().apply(event, state, logger)


@torch.no_grad()
def update_averages(averages: dict[str, Tensor], model: nn.Module, smoothing: float) -> None:
    """``composer.algorithms.ema.compute_ema`` with the same numbers, in a few kernels instead of four for each tensor.

    Args:
        averages: parameters and buffers to update in place, by their names in `model`.
        model: the model that trains.
        smoothing: share of the old average, 0 to 1.
    """
    named = chain(model.named_parameters(), model.named_buffers())
    pairs = [(averages[name], value.detach()) for name, value in named if name in averages]
    old, now = ([pair[side] for pair in pairs if pair[0].is_floating_point()] for side in (0, 1))
    foreach.multiply_(old, smoothing)
    foreach.add_(old, foreach.multiply(now, 1.0 - smoothing))
    # BatchNorm counts its batches in integers; as Composer, the average is cut to one.
    counts = [pair for pair in pairs if not pair[0].is_floating_point()]
    for shape in {pair[0].shape for pair in counts}:
        old, now = ([pair[side] for pair in counts if pair[0].shape == shape] for side in (0, 1))
        average = torch.stack(old) * smoothing + torch.stack(now) * (1.0 - smoothing)
        foreach.copy_(old, list(average.to(old[0].dtype).unbind()))


def ema_weights(model: nn.Module, algorithms: list[Algorithm]) -> dict[str, torch.Tensor]:
    """State of the network under torchvision's names, with the averaged weights where EMA is on.

    After training, the model holds EMA's or the raw weights, depending on whether Composer saved last.
    """
    weights = {unwrapped(name): value for name, value in model.state_dict().items() if name.startswith("module.")}
    for algorithm in algorithms:
        # Before it starts, EMA holds the initial weights.
        if isinstance(algorithm, ComposerEMA) and algorithm.ema_started and not algorithm.ema_weights_active:
            assert algorithm.ema_model is not None
            averaged = {**algorithm.ema_model.named_parameters_dict, **algorithm.ema_model.named_buffers_dict}
            weights |= {unwrapped(name): value for name, value in averaged.items() if name.startswith("module.")}
    return {name: value.detach().cpu().clone() for name, value in weights.items()}
