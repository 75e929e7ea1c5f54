"""Graphs that are recorded but not compiled: what `speed.compile` does, without the minutes of a compiler.

As a callback of a run, it changes nothing but that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from composer.core import Callback

from resnet_exp.training.speed import compilation


class Graphs:
    """A backend of torch.compile that runs each graph as it is."""

    def __init__(self) -> None:
        """`images`: shapes of the images for which there are graphs; `cuda`: whether CUDA graphs were asked for."""
        self.images: list[tuple[int, ...]] = []
        self.cuda: list[bool] = []

    def __call__(self, graph: torch.fx.GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        """Note a graph."""
        from torch._inductor import config

        self.images.append(next((tuple(each.shape) for each in inputs if _is_images(each)), ()))
        self.cuda.append(config.triton.cudagraphs)
        return graph.forward


def _is_images(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dim() == 4 and value.shape[1] == 3 and value.shape[-1] > 7


class EagerGraphs(Callback):
    """Callback that has a run's graphs run as they are."""

    def __init__(self) -> None:
        """Before the network is compiled."""
        compilation.BACKEND = "eager"
