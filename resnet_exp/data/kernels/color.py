"""RandAugment's operations on colors, bit for bit as Pillow 11.3 does them (ImageOps, ImageEnhance, libImaging).

Most of them are a table: a new value for each of the 256 values of each channel.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from resnet_exp.data.kernels.jit import inner

Image = npt.NDArray[np.uint8]  # HWC
Table = npt.NDArray[np.uint8]  # 3 x 256
Counts = npt.NDArray[np.int64]  # 3 x 256

VALUES = 256
HALF = np.float32(0.5)
# Pillow's weights of gray, in 65,536ths, and those of its SMOOTH filter.
RED, GREEN, BLUE, ROUND = 19595, 38470, 7471, 0x8000
SIDE, CENTER = np.float32(1 / 13), np.float32(5 / 13)


@inner
def blend(start: np.uint8, end: np.uint8, part: np.float32) -> np.uint8:
    """`start` if `part` is 0, `end` if it is 1, extrapolated beyond and clipped (``Image.blend``)."""
    value = np.float32(start) + part * (np.float32(end) - np.float32(start))
    return np.uint8(min(max(value, np.float32(0)), np.float32(255)))


@inner
def gray(red: np.uint8, green: np.uint8, blue: np.uint8) -> np.uint8:
    """Brightness of a pixel (``Image.convert("L")``)."""
    return np.uint8((int(red) * RED + int(green) * GREEN + int(blue) * BLUE + ROUND) >> 16)


@inner
def count_values(image: Image, counts: Counts) -> None:
    """Count how often each value occurs in each channel."""
    counts[:] = 0
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            for channel in range(3):
                counts[channel, image[row, column, channel]] += 1


@inner
def look_up(image: Image, table: Table) -> None:
    """Replace every value by that of the table."""
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            for channel in range(3):
                image[row, column, channel] = table[channel, image[row, column, channel]]


@inner
def autocontrast(counts: Counts, table: Table) -> None:
    """Table that makes the darkest value of a channel 0 and the brightest 255 (``ImageOps.autocontrast``)."""
    for channel in range(3):
        low, high = 0, VALUES - 1
        while low < VALUES - 1 and counts[channel, low] == 0:
            low += 1
        while high > 0 and counts[channel, high] == 0:
            high -= 1
        for value in range(VALUES):
            scaled = float(value)
            if high > low:
                scale = 255.0 / (high - low)
                scaled = value * scale + -low * scale
            table[channel, value] = np.uint8(int(min(max(scaled, 0.0), 255.0)))


@inner
def equalize(counts: Counts, table: Table) -> None:
    """Table that makes all values of a channel as frequent (``ImageOps.equalize``)."""
    for channel in range(3):
        pixels, last, kinds = 0, 0, 0
        for value in range(VALUES):
            if counts[channel, value]:
                last, kinds = counts[channel, value], kinds + 1
                pixels += last
        step = (pixels - last) // 255 if kinds > 1 else 0
        below = step // 2
        for value in range(VALUES):
            table[channel, value] = np.uint8(min(255, below // step) if step else value)
            below += counts[channel, value]


@inner
def posterize(bits: int, table: Table) -> None:
    """Table that keeps the upper bits (``ImageOps.posterize``)."""
    for value in range(VALUES):
        table[:, value] = np.uint8(value & ~((1 << (8 - bits)) - 1))


@inner
def solarize(threshold: int, table: Table) -> None:
    """Table that inverts what is not below a threshold (``ImageOps.solarize``)."""
    for value in range(VALUES):
        table[:, value] = np.uint8(value if value < threshold else 255 - value)


@inner
def blend_with_constant(constant: int, part: float, table: Table) -> None:
    """Table that blends a constant with the image (``ImageEnhance.Brightness``, ``Contrast``)."""
    for value in range(VALUES):
        table[:, value] = blend(np.uint8(constant), np.uint8(value), np.float32(part))


@inner
def mean_gray(image: Image) -> int:
    """Mean brightness, rounded, as ``ImageEnhance.Contrast`` takes it."""
    total = 0
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            total += gray(image[row, column, 0], image[row, column, 1], image[row, column, 2])
    return int(total / (image.shape[0] * image.shape[1]) + 0.5)


@inner
def saturate(image: Image, part: float) -> None:
    """Blend each pixel's gray with the pixel (``ImageEnhance.Color``)."""
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            plain = gray(image[row, column, 0], image[row, column, 1], image[row, column, 2])
            for channel in range(3):
                image[row, column, channel] = blend(plain, image[row, column, channel], np.float32(part))


@inner
def sharpen(source: Image, part: float, out: Image) -> None:
    """Blend the smoothed image with the image (``ImageEnhance.Sharpness``); its border stays as it is."""
    height, width = source.shape[:2]
    out[:] = source
    for row in range(1, height - 1):
        above, here, below = source[row - 1].reshape(-1), source[row].reshape(-1), source[row + 1].reshape(-1)
        line = out[row].reshape(-1)
        for at in range(3, 3 * (width - 1)):
            total = HALF
            # In the order in which Pillow adds them: another one rounds differently.
            total += np.float32(below[at - 3]) * SIDE + np.float32(below[at]) * SIDE + np.float32(below[at + 3]) * SIDE
            total += np.float32(here[at - 3]) * SIDE + np.float32(here[at]) * CENTER + np.float32(here[at + 3]) * SIDE
            total += np.float32(above[at - 3]) * SIDE + np.float32(above[at]) * SIDE + np.float32(above[at + 3]) * SIDE
            line[at] = blend(np.uint8(min(total, np.float32(255))), here[at], np.float32(part))
