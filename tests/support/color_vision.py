"""How far apart two colors are, for most people and for those who see no green or no red."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Machado, Oliveira and Fernandes (2009), at full severity, on linear RGB.
VISION = {
    "normal": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881),
    ),
    "protanopia": (
        (0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998),
    ),
}  # fmt: skip
TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
WHITE = (0.95047, 1.0, 1.08883)


def _linear(color: str) -> list[float]:
    channels = [int(pair, 16) / 255 for pair in re.findall("..", color.removeprefix("#"))]
    return [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]


def _times(matrix: Sequence[Sequence[float]], vector: Sequence[float]) -> list[float]:
    return [sum(factor * value for factor, value in zip(row, vector, strict=True)) for row in matrix]


def _lab(color: str, vision: str) -> tuple[float, float, float]:
    seen = [min(max(value, 0.0), 1.0) for value in _times(VISION[vision], _linear(color))]
    parts = [value / white for value, white in zip(_times(TO_XYZ, seen), WHITE, strict=True)]
    x, y, z = (part ** (1 / 3) if part > 216 / 24389 else (24389 / 27 * part + 16) / 116 for part in parts)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def difference(one: str, other: str, vision: str) -> float:
    """Delta E (CIE 1976) of two colors such as ``#0072b2``: about 2 is the least that is seen side by side."""
    pairs = zip(_lab(one, vision), _lab(other, vision), strict=True)
    return sum((left - right) ** 2 for left, right in pairs) ** 0.5


def contrast(one: str, other: str) -> float:
    """Contrast of the Web Content Accessibility Guidelines, from 1 to 21; pictures need 3."""
    low, high = sorted(
        sum(f * v for f, v in zip((0.2126, 0.7152, 0.0722), _linear(color), strict=True)) for color in (one, other)
    )
    return (high + 0.05) / (low + 0.05)
