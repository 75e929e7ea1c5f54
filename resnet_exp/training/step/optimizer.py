"""SGD with decoupled weight decay, in a few kernels for all weights together."""

from __future__ import annotations

from composer.optim import DecoupledSGDW as ComposerDecoupledSGDW
from torch import Tensor
from torch.optim.sgd import sgd

from resnet_exp.training.step import foreach


class DecoupledSGDW(ComposerDecoupledSGDW):
    """Composer 0.32.1's ``DecoupledSGDW`` with torch's multi-tensor SGD: the same arithmetic, no loop over the weights.

    Its name is Composer's, by which a checkpoint finds the optimizer's state. torch's fused SGD is no alternative: it
    rounds differently.
    """

    @staticmethod
    def sgdw(  # pyright: ignore[reportIncompatibleMethodOverride]
        params: list[Tensor],
        d_p_list: list[Tensor],
        momentum_buffer_list: list[Tensor | None],
        *,
        weight_decay: float,
        momentum: float,
        lr: float,
        initial_lr: float,
        dampening: float,
        nesterov: bool,
    ) -> None:
        """Update `params` and the momentum in place; arguments as in ``composer.optim.DecoupledSGDW.sgdw``."""
        if not params:
            return
        if weight_decay != 0:
            decay_factor = lr / initial_lr if initial_lr else 1.0
            foreach.multiply_(params, 1 - decay_factor * weight_decay)
        sgd(
            params,
            # Nesterov's step is taken in place.
            foreach.copies(d_p_list) if nesterov else d_p_list,
            momentum_buffer_list,
            foreach=True,
            weight_decay=0.0,
            momentum=momentum,
            lr=lr,
            dampening=dampening,
            nesterov=nesterov,
            maximize=False,
        )
