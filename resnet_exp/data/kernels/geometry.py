"""RandAugment's geometric operations, bit for bit as Pillow 11.3's bilinear ``Image.transform`` and ``rotate``."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from resnet_exp.data.kernels.jit import inner

Image = npt.NDArray[np.uint8]  # HWC
Matrix = tuple[float, float, float, float, float, float]


@inner
def between(source: Image, row: int, column: int, right: float, channel: int) -> float:
    """Interpolate between two neighbors in a row; the border is repeated outside of the image."""
    width = source.shape[1]
    first = float(source[row, min(max(column, 0), width - 1), channel])
    second = float(source[row, min(max(column + 1, 0), width - 1), channel])
    return first + (second - first) * right


@inner
def affine(source: Image, matrix: Matrix, out: Image) -> None:
    """Take each pixel of `out` from where `matrix` says (x' = ax + by + c, y' = dx + ey + f); black outside."""
    height, width = source.shape[:2]
    a, b, c, d, e, f = matrix
    for row in range(height):
        for column in range(width):
            x = a * (column + 0.5) + b * (row + 0.5) + c
            y = d * (column + 0.5) + e * (row + 0.5) + f
            if x < 0.0 or x >= width or y < 0.0 or y >= height:
                out[row, column] = 0
                continue
            left, top = math.floor(x - 0.5), math.floor(y - 0.5)
            right, down = x - 0.5 - left, y - 0.5 - top
            upper, lower = max(top, 0), top + 1
            for channel in range(3):
                value = between(source, upper, left, right, channel)
                if lower < height:
                    value += (between(source, lower, left, right, channel) - value) * down
                out[row, column, channel] = np.uint8(value)


@inner
def rotation(degrees: int, height: int, width: int) -> Matrix:
    """The matrix of ``Image.rotate`` about the center."""
    angle = -math.radians(degrees % 360)
    cosine, sine = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = width / 2, height / 2
    return cosine, sine, cosine * -x + sine * -y + x, -sine, cosine, -sine * -x + cosine * -y + y


@inner
def shift(source: Image, right: int, down: int, out: Image) -> None:
    """Take each pixel from `right` pixels to its right and `down` pixels below it; black outside."""
    height, width = source.shape[:2]
    out[:] = 0
    for row in range(max(0, -down), min(height, height - down)):
        for column in range(max(0, -right), min(width, width - right)):
            out[row, column] = source[row + down, column + right]
