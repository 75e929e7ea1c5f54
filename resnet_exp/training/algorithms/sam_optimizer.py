"""Composer's optimizer of SAM, with momentum that survives a resume and weights restored exactly (docs/fidelity.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from composer.algorithms.sam.sam import SAMOptimizer
from torch.optim import Optimizer

from resnet_exp.training.step import foreach

STEP = "sam_step"


class ResumableSAMOptimizer(SAMOptimizer):
    """Composer's SAM optimizer that shares its state with the optimizer it wraps, and restores weights exactly.

    Composer 0.32.1 checkpoints neither the momentum of the wrapped optimizer nor the step counter, so a resumed
    run silently resets both. It also adds and then subtracts each rank's own ascent step, after which the ranks'
    weights differ by rounding errors. Here they are restored from a copy, also when the second pass fails.
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

    @torch.no_grad()
    def step(self, closure: Callable[..., Any] | None = None) -> Any:  # pyright: ignore
        """One step; the loss of `closure`, or None if it found infinite gradients.

        Without a closure it steps the wrapped optimizer: loading a checkpoint calls it that way to create the state.
        """
        if closure is None:
            return self.base_optimizer.step()
        closure = torch.enable_grad()(closure)
        if (self.global_step + 1) % self.interval:
            loss = last = closure()
        else:
            # Each rank climbs by its own gradient; the losses from above are not those of the batch.
            loss = closure(ddp_sync=False)
            last = None if loss is None else self._from_above(closure)
        if last is not None:
            self.base_optimizer.step()
        self.global_step += 1
        return loss

    def _from_above(self, closure: Callable[..., Any]) -> Any:
        """Call `closure` with the weights moved along their gradients, which leaves its gradients; gives its loss."""
        weights = [weight for group in self.param_groups for weight in group["params"] if weight.grad is not None]
        before = foreach.copies(weights)
        try:
            self.first_step()
            return closure(loss_dict={})
        finally:
            foreach.copy_(weights, before)

    @torch.no_grad()
    def first_step(self) -> None:
        """Move the weights along their gradients, which become the distances."""
        norm = self._grad_norm()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            distances = [weight.grad for weight in weights]
            if weights:
                foreach.multiply_(distances, group["rho"] / (norm + group["epsilon"]))
                foreach.add_(weights, distances)

    def _grad_norm(self) -> torch.Tensor:
        gradients = [
            weight.grad for group in self.param_groups for weight in group["params"] if weight.grad is not None
        ]
        return torch.linalg.vector_norm(torch.stack(foreach.norms(gradients, 2)))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the shared state."""
        self.base_optimizer.load_state_dict(state_dict)
        self._share()
