"""A callback that gives a rank little memory: a forward pass of more pixels fails as it does on a GPU."""

from __future__ import annotations

import torch
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist
from torch import nn


def limit(model: nn.Module, training: int, evaluation: int) -> None:
    """Have a model fail on batches of more than so many pixels, apart from their channels."""

    def check(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        images = inputs[0]
        if images.shape[0] * images.shape[2] * images.shape[3] > (training if module.training else evaluation):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    first.register_forward_pre_hook(check)


class SmallMemory(Callback):
    """Limit the memory of one rank."""

    def __init__(self, pixels: int, rank: int) -> None:
        self.pixels, self.rank = pixels, rank

    def fit_start(self, state: State, logger: Logger) -> None:
        """Limit it."""
        if dist.get_global_rank() == self.rank:
            limit(state.model, self.pixels, self.pixels)
