"""Composer's EMA, started at its first update, and the weights that it has averaged (docs/fidelity.md)."""

from __future__ import annotations

import torch
from composer.algorithms import EMA as ComposerEMA
from composer.core import Algorithm, Event, State
from torch import nn

from resnet_exp.training.weight_files import unwrapped


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
