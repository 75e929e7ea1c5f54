"""Models of torchvision and timm by name, with the weights that these libraries download."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn

from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import one_line
from resnet_exp.inference.description import Description

TORCHVISION, TIMM = "torchvision:", "timm:"
Make = Callable[[], nn.Module]


def is_named(text: str) -> bool:
    """Whether a text names a model of a library."""
    return text.startswith((TORCHVISION, TIMM))


def find(text: str) -> tuple[Description, Make]:
    """The description of a model, and what makes its network.

    Raises:
        RequestError: the library is not installed, has no such model, or cannot have its weights.
    """
    return _torchvision(text) if text.startswith(TORCHVISION) else _timm(text)


def _torchvision(text: str) -> tuple[Description, Make]:
    from torchvision import models

    name = text.removeprefix(TORCHVISION)
    try:
        known: Any = models.get_model_weights(name)
        weights = known.DEFAULT
    except (ValueError, AttributeError) as error:
        raise RequestError(
            f"{text}: torchvision has no weights of that name; give one such as {TORCHVISION}resnet50"
        ) from error
    preset = weights.transforms()
    description = Description(
        name=f"{name} {weights.name}",
        classes=tuple(weights.meta.get("categories", ())),
        mean=tuple(255 * value for value in preset.mean),
        std=tuple(255 * value for value in preset.std),
        resize=preset.resize_size[0],
        crop=preset.crop_size[0],
    )
    return description, lambda: _downloaded(text, lambda: models.get_model(name, weights=weights))


def _timm(text: str) -> tuple[Description, Make]:
    try:
        import timm  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise RequestError(f"{text} needs the package timm; pip install timm") from None
    name = text.removeprefix(TIMM)
    try:
        known = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    except RuntimeError:  # the model exists, but not with these weights
        known = None
    if known is None:
        near = timm.list_models(f"*{name.partition('.')[0]}*", pretrained=True)[:3]
        raise RequestError(f"{text}: timm has no weights of that name; near ones: {', '.join(near) or 'none'}")
    facts = known.to_dict()
    crop = facts["input_size"][-1]
    description = Description(
        name=name,
        classes=tuple(facts.get("label_names") or ()),
        mean=tuple(255 * value for value in facts["mean"]),
        std=tuple(255 * value for value in facts["std"]),
        resize=math.floor(crop / facts["crop_pct"]),
        crop=crop,
    )
    return description, lambda: _downloaded(text, lambda: timm.create_model(name, pretrained=True))


def _downloaded(text: str, make: Make) -> nn.Module:
    try:
        return make().eval()
    except (OSError, RuntimeError) as error:
        raise RequestError(
            f"{text}: its weights cannot be had ({one_line(error)[:120]}); download them where there is a network"
        ) from error
