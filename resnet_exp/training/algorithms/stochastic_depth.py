"""Composer's stochastic depth, with a choice of the blocks' initial weights (docs/fidelity.md)."""

from __future__ import annotations

from typing import Any

from composer.algorithms import StochasticDepth as ComposerStochasticDepth
from composer.core import Event, State
from composer.loggers import Logger
from torch import nn
from torchvision.models.resnet import Bottleneck


class StochasticDepth(ComposerStochasticDepth):
    """Composer's stochastic depth, with a choice of the blocks' initial weights.

    Composer 0.7.1 replaced each bottleneck by a new one, so that the recipe's initial weights survived only in the
    stem, the downsampling convolutions and the classifier (fixed in 0.8.0, #1085). The published Hot runs used 0.7.1.
    Composer 0.32.1 keeps them, and has no choice.
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
