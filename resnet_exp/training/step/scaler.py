"""Loss scaling for optimizers that call the step themselves, as SAM does."""

from __future__ import annotations

from typing import Any

import torch
from composer.trainer._scaler import ClosureGradScaler as ComposerClosureGradScaler
from composer.utils import dist
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer


class ClosureGradScaler(ComposerClosureGradScaler):
    """Composer's ``ClosureGradScaler``, whose ranks agree on overflows by one small reduction, and only where needed.

    Composer 0.32.1 gathers a pickled bool from all ranks in each pass, and sums overflows once more in ``update``. But
    gradients that were averaged over the ranks are the same on each of them; only SAM's first pass leaves them apart.
    """

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """Step with ``closure``, which gives its loss, or None if there were infinite gradients on any rank."""
        closure = kwargs["closure"]

        def unscaled(**settings: Any) -> Any:
            self._force_scaler_ready(optimizer)
            self._empty_all_grads(optimizer)
            loss = closure(**settings)
            (found,) = self._per_optimizer_states[id(optimizer)]["found_inf_per_device"].values()
            if not settings.get("ddp_sync", True):
                dist.all_reduce(found, reduce_operation="MAX")
            return None if found.item() else loss

        return optimizer.step(closure=unscaled)

    def update(self, new_scale: float | torch.Tensor | None = None) -> None:  # pyright: ignore
        """Adapt the scale; all ranks have the same overflows by now."""
        GradScaler.update(self, new_scale)
