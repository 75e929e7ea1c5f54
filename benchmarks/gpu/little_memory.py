"""A callback that gives a run little memory, before it is checked how much there is."""

from __future__ import annotations

from composer.core import Callback, State
from composer.loggers import Logger

from .device import make_device


class LittleMemory(Callback):
    """Leave `gib` of a GPU; a CPU has too little for a batch of more than `pixels`."""

    def __init__(self, gib: float, pixels: int) -> None:
        self.gib, self.pixels = gib, pixels

    def fit_start(self, state: State, logger: Logger) -> None:
        """Limit it."""
        device = make_device("cuda" if state.device.name == "gpu" else "cpu")
        device.limit_memory(self.gib)
        device.limit_images(state.model, self.pixels)
