"""The random state of a checkpoint is restored where our loaders need it."""

from __future__ import annotations

from typing import Any

from composer import Trainer
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import reproducibility


class RestoreRng(Callback):
    """Restore the random state of a checkpoint before the first batch is made.

    Composer 0.32.1 restores it after ``fit_start``, or while it replays the epoch's past batches, which our loaders
    skip.
    """

    def __init__(self) -> None:
        self.pending: list[dict[str, Any]] | None = None

    def take_from(self, trainer: Trainer) -> None:
        """Leave the trainer nothing to restore."""
        self.pending, trainer._rng_state = trainer._rng_state, None

    def fit_start(self, state: State, logger: Logger) -> None:
        """Restore it."""
        if self.pending is not None:
            reproducibility.load_rng_state(self.pending)
            self.pending = None
