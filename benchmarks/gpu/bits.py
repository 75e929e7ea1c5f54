"""Part 2: lists of weights give the bits of one weight at a time: optimizer, moving average and SAM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import step_contenders
import torch
from composer.algorithms.ema.ema import EMAParameters, compute_ema
from composer.algorithms.sam.sam import SAMOptimizer
from composer.optim import DecoupledSGDW
from torch import Tensor, nn

from resnet_exp.config.schema import OptimizerConfig
from resnet_exp.training.algorithms.ema import update_averages
from resnet_exp.training.algorithms.sam_optimizer import ResumableSAMOptimizer
from resnet_exp.training.step import foreach
from resnet_exp.training.trainer import build_optimizer

from .context import Context

OPTIMIZER = OptimizerConfig(lr=0.1, momentum=0.875, weight_decay=5e-4, dampening=0.0, nesterov=False)
SETTINGS = {"lr": OPTIMIZER.lr, "momentum": OPTIMIZER.momentum, "weight_decay": OPTIMIZER.weight_decay}
RHO, EPSILON = 0.5, 1e-12
SMOOTHING = 0.87
# A norm of a list is summed in another order than that of one tensor: equal to the rounding of single precision.
NORM_TOLERANCE = 1e-5


def bits(context: Context) -> None:
    """Each against the loop that it replaces."""
    torch.manual_seed(17)
    network = step_contenders.make_network(context.scale.model).to(context.device.torch)
    _optimizer(context, network)
    _average(context, network)
    _sam(context, network)


def _copies(network: nn.Module) -> list[Tensor]:
    return [each.detach().clone().requires_grad_() for each in network.parameters()]


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def _optimizer(context: Context, network: nn.Module) -> None:
    mine, theirs = _copies(network), _copies(network)
    both = build_optimizer(mine, OPTIMIZER), DecoupledSGDW(theirs, **SETTINGS)
    for _ in range(context.scale.repeats):
        for one, other in zip(mine, theirs, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        for each in both:
            each.step()
    context.write(what="optimizer", steps=context.scale.repeats, ok=_same(mine, theirs))


def _average(context: Context, network: nn.Module) -> None:
    mine, theirs = EMAParameters(network), EMAParameters(network)
    averages = {**mine.named_parameters_dict, **mine.named_buffers_dict}
    looped = {**theirs.named_parameters_dict, **theirs.named_buffers_dict}
    for _ in range(context.scale.repeats):
        with torch.no_grad():
            for tensor in (*network.parameters(), *network.buffers()):
                tensor.add_(torch.randn_like(tensor) if tensor.is_floating_point() else 3)
        compute_ema(network, theirs, smoothing=SMOOTHING)
        update_averages(averages, network, SMOOTHING)
    wrong = [name for name in looped if not torch.equal(looped[name], averages[name])]
    context.write(what="moving average", steps=context.scale.repeats, wrong=wrong, ok=not wrong)


def _sam(context: Context, network: nn.Module) -> None:
    mine, theirs = _copies(network), _copies(network)
    ours = ResumableSAMOptimizer(build_optimizer(mine, OPTIMIZER), rho=RHO, epsilon=EPSILON, interval=2)
    base = build_optimizer(theirs, OPTIMIZER)
    for step in range(2 * context.scale.repeats):
        ours.step(_closure(mine, step))
        closure = _closure(theirs, step)
        closure()
        if step % 2:
            _climb_and_return(theirs, closure)
        base.step()
    listed, looped = ours._grad_norm(), SAMOptimizer._grad_norm(ours)
    difference = ((listed - looped).abs() / looped).item()
    context.write(
        what="SAM", steps=2 * context.scale.repeats, norm_difference=difference,
        ok=_same(mine, theirs) and difference < NORM_TOLERANCE,
    )  # fmt: skip


def _closure(weights: list[Tensor], step: int) -> Callable[..., float]:
    """A pass that gives each weight a gradient, which depends on where the weights are."""

    def closure(ddp_sync: bool = True, loss_dict: Any = None) -> float:
        torch.manual_seed(step)
        for weight in weights:
            weight.grad = torch.randn_like(weight) + weight.detach()
        return 0.0

    return closure


@torch.no_grad()
def _climb_and_return(weights: list[Tensor], closure: Callable[..., float]) -> None:
    """SAM's second pass, weight by weight, with the norm of all gradients as ours sums it up."""
    before = [weight.clone() for weight in weights]
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    scale = RHO / (torch.linalg.vector_norm(torch.stack(foreach.norms(gradients, 2))) + EPSILON)
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.add_(gradient * scale)
    closure()
    for weight, old in zip(weights, before, strict=True):
        weight.copy_(old)
