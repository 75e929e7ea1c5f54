"""SGD with decoupled weight decay: on a GPU in a few kernels for all weights together, on a CPU weight by weight."""

from __future__ import annotations

from typing import Any

from composer.optim import DecoupledSGDW as ComposerDecoupledSGDW
from torch import Tensor
from torch.optim.sgd import sgd

from resnet_exp.training.step import foreach


class DecoupledSGDW(ComposerDecoupledSGDW):
    """Composer 0.32.1's ``DecoupledSGDW``, on a GPU by torch's multi-tensor SGD: the same arithmetic without a loop.

    Its name is Composer's, by which a checkpoint finds the optimizer's state. torch's fused SGD does not do: it
    rounds differently.
    """

    @staticmethod
    def sgdw(params: list[Tensor], *lists: Any, **settings: Any) -> None:
        """Update `params` and the momentum in place; arguments as in ``composer.optim.DecoupledSGDW.sgdw``."""
        # As torch's own optimizers choose: on a CPU, a loop finds each weight in the cache for its next operation.
        on_cpu = bool(params) and params[0].device.type == "cpu"
        (ComposerDecoupledSGDW.sgdw if on_cpu else sgdw_together)(params, *lists, **settings)


def sgdw_together(
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
    """``composer.optim.DecoupledSGDW.sgdw`` with the same bits, each operation on all `params` together."""
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
