"""Composer's SAM, wrapped around the optimizer at the start (docs/fidelity.md)."""

from __future__ import annotations

from typing import ClassVar

from composer.core import Algorithm, Event, State
from composer.loggers import Logger
from composer.trainer._scaler import ClosureGradScaler as ComposerClosureGradScaler

from resnet_exp.training.algorithms.sam_optimizer import ResumableSAMOptimizer
from resnet_exp.training.step.scaler import ClosureGradScaler


class SAM(Algorithm):
    """Sharpness-aware minimization every ``interval`` batches (Foret et al., 2020), wrapped around the optimizer.

    Runs on ``Event.INIT``, as in Composer 0.7.1, so that a checkpoint is loaded into the wrapped optimizer. That of
    Composer 0.32.1 runs on ``AFTER_LOAD``, and makes an optimizer that does not resume.
    """

    HEARD: ClassVar = frozenset((Event.INIT, Event.BEFORE_LOAD))

    def __init__(self, rho: float, epsilon: float, interval: int) -> None:
        """See ``composer.algorithms.SAM``."""
        self.rho, self.epsilon, self.interval = rho, epsilon, interval

    def match(self, event: Event, state: State) -> bool:
        """True at the start, and when Composer has made its loss scaler."""
        return event in self.HEARD

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        """Wrap the optimizer; then give its steps our loss scaler."""
        if event == Event.BEFORE_LOAD:
            if isinstance(state.scaler, ComposerClosureGradScaler):
                state.scaler = ClosureGradScaler()
            return
        assert state.optimizers is not None
        state.optimizers = tuple(
            ResumableSAMOptimizer(optimizer, self.rho, self.epsilon, self.interval) for optimizer in state.optimizers
        )
