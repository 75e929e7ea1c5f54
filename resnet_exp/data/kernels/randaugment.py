"""RandAugment (Cubuk et al., 2019, arXiv:1909.13719) as Composer 0.32.1 does it on Pillow's images, compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from resnet_exp.data.kernels import color, geometry
from resnet_exp.data.kernels.color import Counts, Image, Table
from resnet_exp.data.kernels.jit import inner
from resnet_exp.data.kernels.rng import Stream, uniform

# Numbers of the operations; the names are Composer's functions.
OPERATIONS = (
    *("autocontrast", "equalize", "posterize", "rotate", "solarize", "shear_x", "shear_y", "translate_x"),
    *("translate_y", "color", "contrast", "brightness", "sharpness"),
    *("color_original", "contrast_original", "brightness_original", "sharpness_original"),
)
AUTOCONTRAST, EQUALIZE, POSTERIZE, ROTATE, SOLARIZE, SHEAR_X, SHEAR_Y, TRANSLATE_X = range(8)
TRANSLATE_Y, COLOR, CONTRAST, BRIGHTNESS, SHARPNESS, COLOR_ORIGINAL = range(8, 14)
KINDS_OF_COLOR = COLOR_ORIGINAL - COLOR
LEAST_LEVEL = 0.1


class Augment(NamedTuple):
    """The operations to draw from, their strength and their number; with a depth of 0 images stay as they are."""

    operations: npt.NDArray[np.int64]
    severity: float
    depth: int


NOTHING = Augment(np.zeros(1, np.int64), 0.0, 0)


def augment_with(augmentation_set: str, severity: float, depth: int) -> Augment:
    """The settings of ``composer.algorithms.RandAugment``."""
    from composer.algorithms.utils import augmentation_sets  # takes seconds to import

    names = [function.__name__ for function in augmentation_sets[augmentation_set]]
    return Augment(np.array([OPERATIONS.index(name) for name in names]), float(severity), depth)


@inner
def strength(operation: int, severity: float, side: int, stream: Stream) -> float:
    """Draw the strength of an operation, in its own unit: bits, degrees, pixels, a threshold or a share."""
    if operation in (AUTOCONTRAST, EQUALIZE):
        return 0.0
    if COLOR <= operation < COLOR_ORIGINAL:
        if uniform(stream, 0.0, 1.0) > 0.5:
            part = uniform(stream, 1.0, severity)
        else:
            part = uniform(stream, 1 - 0.09 * severity, 1.0)
        return part * 0.75 if operation == BRIGHTNESS and part > 1 else part
    level = uniform(stream, LEAST_LEVEL, severity) / 10
    if operation >= COLOR_ORIGINAL:
        return level * 1.8 + 0.1
    if operation == POSTERIZE:
        return 4.0 - int(level * 4)
    if operation == SOLARIZE:
        return 256.0 - int(level * 256)
    if operation == ROTATE:
        value = float(int(level * 30))
    elif operation in (SHEAR_X, SHEAR_Y):
        value = level * 0.3
    else:
        value = float(int(level * side / 3))
    return -value if uniform(stream, 0.0, 1.0) > 0.5 else value


@inner
def recolor(operation: int, value: float, image: Image, counts: Counts, table: Table) -> None:
    """Apply an operation that is a table."""
    if operation in (AUTOCONTRAST, EQUALIZE):
        color.count_values(image, counts)
    if operation == AUTOCONTRAST:
        color.autocontrast(counts, table)
    elif operation == EQUALIZE:
        color.equalize(counts, table)
    elif operation == POSTERIZE:
        color.posterize(int(value), table)
    elif operation == SOLARIZE:
        color.solarize(int(value), table)
    else:
        color.blend_with_constant(color.mean_gray(image) if operation == CONTRAST else 0, value, table)
    color.look_up(image, table)


@inner
def move(operation: int, value: float, source: Image, out: Image) -> None:
    """Apply an operation that moves pixels, or mixes them with their neighbors."""
    if operation == ROTATE:
        geometry.affine(source, geometry.rotation(int(value), source.shape[0], source.shape[1]), out)
    elif operation == SHEAR_X:
        geometry.affine(source, (1.0, value, 0.0, 0.0, 1.0, 0.0), out)
    elif operation == SHEAR_Y:
        geometry.affine(source, (1.0, 0.0, 0.0, value, 1.0, 0.0), out)
    elif operation == TRANSLATE_X:
        geometry.shift(source, int(value), 0, out)
    elif operation == TRANSLATE_Y:
        geometry.shift(source, 0, int(value), out)
    else:
        color.sharpen(source, value, out)


@inner
def apply(operation: int, value: float, image: Image, spare: Image, counts: Counts, table: Table) -> None:
    """Apply an operation to `image`.

    Args:
        operation: its number in `OPERATIONS`.
        value: how strongly, as `strength` draws it.
        image: uint8 HWC, changed in place.
        spare: memory for another image.
        counts: memory, 3 x 256.
        table: memory, 3 x 256.
    """
    kind = operation - KINDS_OF_COLOR if operation >= COLOR_ORIGINAL else operation
    if kind == COLOR:
        color.saturate(image, value)
    elif (ROTATE <= kind <= TRANSLATE_Y and kind != SOLARIZE) or kind == SHARPNESS:
        spare[:] = image
        move(kind, value, spare, image)
    else:
        recolor(kind, value, image, counts, table)


@inner
def randaugment(settings: Augment, stream: Stream, image: Image, spare: Image, counts: Counts, table: Table) -> None:
    """Apply ``depth`` operations of the set, drawn from `stream`, to `image`; memory as for `apply`."""
    for _ in range(settings.depth):
        drawn = int(uniform(stream, 0.0, float(len(settings.operations))))
        operation = settings.operations[drawn]
        value = strength(operation, settings.severity, image.shape[0], stream)
        apply(operation, value, image, spare, counts, table)
