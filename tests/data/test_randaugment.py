"""RandAugment on FFCV's images: Composer's operations on Pillow's images, value for value."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import ks_2samp

from resnet_exp.data.kernels.randaugment import OPERATIONS, apply, augment_with, randaugment, strength
from resnet_exp.data.kernels.rng import AUGMENT, epoch_key, seed_stream


@pytest.fixture(scope="module")
def composer() -> ModuleType:
    """Composer's operations. All workers import all files of tests, and Composer takes seconds: here it is one."""
    from composer.algorithms.utils import augmentation_primitives

    return augmentation_primitives


def photo(number: int, side: int = 176) -> Any:
    from sklearn.datasets import load_sample_image

    pixels = load_sample_image(("china.jpg", "flower.jpg")[number % 2])
    random = np.random.default_rng(number)
    top, left = int(random.integers(0, 427 - side)), int(random.integers(0, 640 - side))
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


def drawn_by(composer: ModuleType, name: str, severity: float, side: int) -> float:
    """What Composer's function of this name draws next, in the unit of `strength`."""
    uniform, level = np.random.uniform, composer._sample_level
    if name in ("autocontrast", "equalize"):
        return 0.0
    if name.endswith("_original"):
        return composer._float_parameter(level(severity), 1.8) + 0.1
    if name in ("color", "contrast", "brightness", "sharpness"):
        part = composer._symmetric_sample(severity)
        return part * 0.75 if name == "brightness" and part > 1 else part
    if name == "posterize":
        return 4 - composer._int_parameter(level(severity), 4)
    if name == "solarize":
        return 256 - composer._int_parameter(level(severity), 256)
    if name == "rotate":
        value = composer._int_parameter(level(severity), 30)
    elif name.startswith("shear"):
        value = composer._float_parameter(level(severity), 0.3)
    else:
        value = composer._int_parameter(level(severity), side / 3)
    return -value if uniform() > 0.5 else value


def apply_ours(name: str, value: float, image: Any) -> Any:
    ours = image.copy()
    apply(
        OPERATIONS.index(name), float(value), ours, np.empty_like(ours), np.empty((3, 256), np.int64),
        np.empty((3, 256), np.uint8),
    )  # fmt: skip
    return ours


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("severity", [10, 3])
@pytest.mark.parametrize("side", [176, 105])
def test_operations_are_those_of_pillow(composer: ModuleType, name: str, severity: int, side: int) -> None:
    for number in range(12):
        image = photo(number, side)
        np.random.seed(number)
        theirs = np.asarray(getattr(composer, name)(Image.fromarray(image), severity))
        np.random.seed(number)
        value = drawn_by(composer, name, severity, side)
        ours = apply_ours(name, value, image)
        assert np.abs(ours.astype(int) - theirs).max() == 0, f"{name}({value})"


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_on_images_of_one_color(composer: ModuleType, name: str) -> None:
    for color in (0, 7, 255):
        image = np.full((24, 24, 3), color, np.uint8)
        image[:, :, 1] = 255 - color
        np.random.seed(color)
        theirs = np.asarray(getattr(composer, name)(Image.fromarray(image), 10))
        np.random.seed(color)
        assert np.array_equal(apply_ours(name, drawn_by(composer, name, 10, 24), image), theirs)


@pytest.mark.parametrize("name", OPERATIONS[2:])
def test_strengths_are_drawn_as_composers(composer: ModuleType, name: str) -> None:
    stream, ours = np.zeros(1, np.uint64), []
    for sample in range(3000):
        seed_stream(stream, epoch_key(17, 0), np.uint64(sample), AUGMENT)
        ours.append(strength(OPERATIONS.index(name), 10.0, 176, stream))
    np.random.seed(1)
    assert ks_2samp(ours, [drawn_by(composer, name, 10, 176) for _ in range(3000)]).pvalue > 0.01  # pyright: ignore


def test_chains_draw_every_operation_and_repeat() -> None:
    settings = augment_with("all", severity=10, depth=2)
    image, stream = photo(0, 64), np.zeros(1, np.uint64)
    counts, table = np.empty((3, 256), np.int64), np.empty((3, 256), np.uint8)
    assert settings.operations.tolist() == list(range(13))

    def chain(sample: int) -> Any:
        seed_stream(stream, epoch_key(17, 3), np.uint64(sample), AUGMENT)
        changed = image.copy()
        randaugment(settings, stream, changed, np.empty_like(changed), counts, table)
        return changed

    results = [chain(sample) for sample in range(200)]
    assert all(np.array_equal(result, chain(sample)) for sample, result in enumerate(results))
    assert len({result.tobytes() for result in results}) > 150
