"""Start a network from weights that exist: ``init_from``."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from resnet_exp.config.initial_weights import TORCHVISION, digest, weights_file
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import one_line
from resnet_exp.training.weight_files import Weights, read_weights

# Constants that BlurPool and an export with stochastic depth keep beside the weights.
CONSTANTS = ("blur_filter", "filt2d", "residual_scale")
CLASSIFIER = "fc."
# Batches that BatchNorm has seen: some programs leave it out, and nothing depends on it.
COUNTER = "num_batches_tracked"


def load(network: nn.Module, config: RunConfig) -> None:
    """Give a network the weights of ``init_from``, if the run has it, before any algorithm changes its modules.

    A classifier of another number of classes keeps its fresh weights.

    Raises:
        RequestError: the weights are not of this network, or no longer those of the run's id.
    """
    init_from = config.init_from
    if init_from is None:
        return
    named = f"init_from={init_from}"
    if digest(init_from) != config.init_digest:
        raise RequestError(f"{named}: its weights have changed since the run was composed; start the run again")
    path = weights_file(init_from)
    found = _of_torchvision(named, init_from) if path is None else read_weights(path, named)
    weights, own = plain_names(found), network.state_dict()
    if any(name in weights and weights[name].shape != own[name].shape for name in _classifier(own)):
        weights = {name: value for name, value in weights.items() if not name.startswith(CLASSIFIER)}
    _check(named, config.model.name, weights, own)
    network.load_state_dict({**own, **weights})


def plain_names(weights: Weights) -> Weights:
    """Weights under torchvision's names, whatever BlurPool and stochastic depth have made of them."""
    blurred = {name.removesuffix("blur_filter") for name in weights if name.endswith("blur_filter")}
    plain: Weights = {}
    for name, value in weights.items():
        path, _, last = name.rpartition(".")
        if last in CONSTANTS:
            continue
        outer = path.removesuffix("conv")
        plain[f"{outer}{last}" if path.endswith(".conv") and outer in blurred else name] = value
    return plain


def _classifier(own: Mapping[str, Tensor]) -> list[str]:
    return [name for name in own if name.startswith(CLASSIFIER)]


def _check(named: str, model: str, weights: Weights, own: Mapping[str, Tensor]) -> None:
    """Refuse weights of another network; its classifier may be missing."""
    needed = [name for name in own if not name.startswith(CLASSIFIER) and not name.endswith(COUNTER)]
    if (missing := next((name for name in needed if name not in weights), None)) is not None:
        raise RequestError(f"{named} has no {missing}: it is another network; choose model= as there")
    if (strange := next((name for name in weights if name not in own), None)) is not None:
        raise RequestError(f"{named} has {strange}, which model={model} has not; choose model= as there")
    other = next((name for name in weights if weights[name].shape != own[name].shape), None)
    if other is not None:
        shapes = f"{list(weights[other].shape)}, that of model={model} {list(own[other].shape)}"
        raise RequestError(f"{named}: {other} has the shape {shapes}; choose model= as there")


def _of_torchvision(named: str, init_from: str) -> Weights:
    from torchvision import models

    name = init_from.removeprefix(TORCHVISION)
    try:
        weights = models.get_model_weights(name).DEFAULT  # pyright: ignore[reportAttributeAccessIssue]
    except (ValueError, AttributeError) as error:
        raise RequestError(f"{named}: torchvision has no weights of that name; use {TORCHVISION}resnet50") from error
    try:
        return dict(weights.get_state_dict(check_hash=True))
    except (OSError, RuntimeError) as error:
        raise RequestError(
            f"{named}: its weights cannot be had ({one_line(error)[:120]}); download them where there is a network, or "
            "name a file"
        ) from error
