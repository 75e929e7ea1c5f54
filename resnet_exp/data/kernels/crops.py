"""Where a sample is cropped: torchvision's ``RandomResizedCrop`` to train, FFCV's center crop to evaluate."""

from __future__ import annotations

import math

import numpy as np

from resnet_exp.data.kernels.jit import inner
from resnet_exp.data.kernels.rng import Stream, uniform

# Top, left, height and width in source pixels.
Box = tuple[int, int, int, int]
TRIES = 10


@inner
def random_box(
    stream: Stream, height: int, width: int, scale: tuple[float, float], log_ratio: tuple[float, float]
) -> Box:
    """A crop as ``torchvision.transforms.RandomResizedCrop`` 0.22 draws it.

    Args:
        stream: numbers of this sample.
        height: of the image, in pixels.
        width: of the image, in pixels.
        scale: bounds of the crop's share of the area.
        log_ratio: bounds of the logarithm of width over height.
    """
    for _ in range(TRIES):
        area = height * width * uniform(stream, scale[0], scale[1])
        ratio = math.exp(uniform(stream, log_ratio[0], log_ratio[1]))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            top = int(uniform(stream, 0.0, height - high + 1.0))
            left = int(uniform(stream, 0.0, width - wide + 1.0))
            return top, left, high, wide
    return widest_box(height, width, math.exp(log_ratio[0]), math.exp(log_ratio[1]))


@inner
def widest_box(height: int, width: int, narrowest: float, widest: float) -> Box:
    """The largest centered crop between two ratios of width to height, if no random crop fits into the image."""
    high, wide = height, width
    if width / height < narrowest:
        high = min(height, round(width / narrowest))
    elif width / height > widest:
        wide = min(width, round(height * widest))
    return (height - high) // 2, (width - wide) // 2, high, wide


@inner
def center_box(height: int, width: int, share: float) -> Box:
    """The square center crop whose side is a `share` of the short side (FFCV's ``CenterCropRGBImageDecoder``)."""
    side = max(1, int(share * min(height, width)))
    return (height - side) // 2, (width - side) // 2, side, side


def logarithms(ratio: tuple[float, float]) -> tuple[float, float]:
    """Logarithms of the bounds of a crop's ratio."""
    low, high = np.log(ratio)
    return float(low), float(high)
