"""Composer's optimizer of SAM, with momentum that survives a resume and weights restored exactly (docs/fidelity.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from composer.algorithms.sam.sam import SAMOptimizer
from torch import nn
from torch.optim import Optimizer

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
