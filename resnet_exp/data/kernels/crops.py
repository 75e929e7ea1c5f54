"""Where a sample is cropped: torchvision's ``RandomResizedCrop`` to train, its or FFCV's center crop to evaluate."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from resnet_exp.data.kernels.jit import inner
from resnet_exp.data.kernels.rng import Stream, uniform

# Top, left, height and width in source pixels.
Box = tuple[int, int, int, int]
# Likewise, of a crop that need not begin and end between two pixels.
ExactBox = tuple[float, float, float, float]
TRIES = 10


class Crop(NamedTuple):
    """What becomes an image, and the whole pixels that it is made of."""

    exact: ExactBox
    box: Box


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


@inner
def crop_of(box: Box) -> Crop:
    """A crop of whole pixels, which is made of no others."""
    return Crop((float(box[0]), float(box[1]), float(box[2]), float(box[3])), box)


@inner
def resized_center_crop(height: int, width: int, resize: int, side: int) -> Crop:
    """The center crop of `side` pixels after the short side was resized to `resize` (torchvision 0.29's transforms)."""
    high = resize if height <= width else int(resize * height / width)
    wide = int(resize * width / height) if height <= width else resize
    row, column = height / high, width / wide  # source pixels of one of the resized image
    top, left = round((high - side) / 2) * row, round((wide - side) / 2) * column
    # What is beside the crop is part of its outer pixels, too.
    above, beside = max(row, 1.0), max(column, 1.0)
    first_row, first_column = max(0, math.floor(top - above)), max(0, math.floor(left - beside))
    last_row = min(height, math.ceil(top + side * row + above))
    last_column = min(width, math.ceil(left + side * column + beside))
    box = (first_row, first_column, last_row - first_row, last_column - first_column)
    return Crop((top, left, side * row, side * column), box)


def logarithms(ratio: tuple[float, float]) -> tuple[float, float]:
    """Logarithms of the bounds of a crop's ratio."""
    low, high = np.log(ratio)
    return float(low), float(high)
