"""Cutting a JPEG at its restart markers: the pixels of a crop are those of the whole, whatever the JPEG is like."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from resnet_exp.data.conversion.encode import Settings, encode, restart_interval
from resnet_exp.data.kernels.batch import load_jpeg, make_scratch
from resnet_exp.data.kernels.crops import crop_of
from resnet_exp.data.kernels.jpeg import EIGHTHS, Window, cut, shorten, window_for_crop
from support.jpegs import SAMPLINGS, Bytes, pixels_of

Box = tuple[int, int, int, int]
WHOLE, GRAIN = EIGHTHS, 30


def jpeg_of(pixels: Bytes, interval: int, *more: int) -> Bytes:
    done, content = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_RST_INTERVAL, interval, *more))
    assert done
    return content.reshape(-1)


def decoded(jpeg: Bytes) -> Bytes:
    pixels = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert pixels is not None
    return pixels.astype(np.uint8, copy=False)


def image_of(
    jpeg: Bytes, shape: tuple[int, int], box: Box, part: int, side: int, flip: bool, as_pillow: bool = False
) -> Bytes:
    out = np.empty((side, side, 3), np.uint8)
    assert (
        load_jpeg(jpeg, jpeg[:0], shape, crop_of(box), part, as_pillow, flip, make_scratch(*shape, side), None, out)
        == 0
    )
    return out


def window_of(jpeg: Bytes, shape: tuple[int, int], box: Box, part: int = WHOLE) -> tuple[Bytes, Window]:
    out = np.empty(len(jpeg) + 2, np.uint8)
    size, window = cut(jpeg, *shape, window_for_crop(box, *shape, part), out)
    return out[:size], window


def random_box(height: int, width: int, random: np.random.Generator) -> Box:
    high, wide = int(random.integers(1, height + 1)), int(random.integers(1, width + 1))
    return int(random.integers(0, height - high + 1)), int(random.integers(0, width - wide + 1)), high, wide


SIDES = st.integers(1, 520)


@settings(max_examples=400)
@given(
    *(SIDES, SIDES, st.integers(1, 200), st.integers(1, EIGHTHS), st.booleans()),
    *(st.sampled_from(sorted(SAMPLINGS)), st.integers(0, 2**32)),
)
def test_an_image_does_not_depend_on_what_was_cut(
    height: int, width: int, side: int, part: int, flip: bool, sampling: str, seed: int
) -> None:
    pixels, random = pixels_of(height, width, GRAIN, seed), np.random.default_rng(seed)
    how = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[sampling])
    whole, restarting = jpeg_of(pixels, 0, *how), jpeg_of(pixels, restart_interval(width), *how)
    for _ in range(4):
        box = random_box(height, width, random)
        # Nothing is decoded smaller than it is shown.
        least = -(-side * EIGHTHS // min(box[2:]))
        at = min(EIGHTHS, max(part, least))
        theirs, ours = (image_of(jpeg, (height, width), box, at, side, flip) for jpeg in (whole, restarting))
        assert np.array_equal(theirs, ours)
        theirs, ours = (image_of(jpeg, (height, width), box, at, side, flip, True) for jpeg in (whole, restarting))
        assert np.array_equal(theirs, ours)


def test_the_edges_of_an_image_are_those_of_the_whole() -> None:
    """All crops of 2x2 pixels at the edges of an image: the decoder treats edges in its own way."""
    for height, width in ((33, 500), (500, 497), (81, 484), (64, 64), (47, 51)):
        pixels = pixels_of(height, width, GRAIN, 3)
        whole, restarting = jpeg_of(pixels, 0), jpeg_of(pixels, restart_interval(width))
        tops = sorted({*range(min(20, height - 1)), *range(max(0, height - 20), height - 1)})
        lefts = sorted({*range(min(20, width - 1)), *range(max(0, width - 20), width - 1)})
        scratch, ours, theirs = (
            make_scratch(height, width, 2),
            np.empty((2, 2, 3), np.uint8),
            np.empty((2, 2, 3), np.uint8),
        )
        for box in ((top, left, 2, 2) for top in tops for left in lefts):
            assert (
                load_jpeg(
                    restarting, restarting[:0], (height, width), crop_of(box), WHOLE, False, False, scratch, None, ours
                )
                == 0
            )
            assert (
                load_jpeg(whole, whole[:0], (height, width), crop_of(box), WHOLE, False, False, scratch, None, theirs)
                == 0
            )
            assert np.array_equal(ours, theirs), (height, width, box)


@pytest.mark.parametrize("sampling", sorted(SAMPLINGS))
def test_only_what_a_crop_needs_is_left(sampling: str) -> None:
    jpeg = jpeg_of(pixels_of(375, 512, GRAIN, 1), 2, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[sampling])
    part, window = window_of(jpeg, (375, 512), (100, 200, 90, 120))
    assert window.top <= 98 and window.top + window.height >= 192 and window.height <= 94 + 2 * 16
    assert window.left <= 198 and window.left + window.width >= 322 and window.width <= 124 + 2 * 32
    assert part.size < jpeg.size / 5
    # Any decoder takes it for a JPEG.
    shown = decoded(part)
    assert shown.shape[:2] == (window.height, window.width)
    rows, columns = slice(100, 190), slice(200, 320)
    inside = shown[100 - window.top :, 200 - window.left :][:90, :120]
    assert np.array_equal(inside, decoded(jpeg)[rows, columns])


def test_what_is_written_can_be_cut(tmp_path: Any) -> None:
    """Of every width, also of those whose number of blocks has no small divisor."""
    for width in range(1, 513, 7):
        path = str(tmp_path / "image.png")
        cv2.imwrite(path, pixels_of(64, width, GRAIN, width))
        encoded = encode(path, "image.png", Settings("jpg", None, 1.0, 90))
        part, window = window_of(encoded.content, (64, width), (0, 0, 1, 1))
        assert (window.top, window.left, window.height) == (0, 0, 16)
        assert window.width <= max(16 * restart_interval(width), 16) <= 128 and 0 < part.size < encoded.content.size


def as_is(jpeg: Bytes) -> Bytes:
    return jpeg


def progressive(jpeg: Bytes) -> Bytes:
    return jpeg_of(decoded(jpeg), 2, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)


def of_pillow(mode: str) -> Any:
    def encoded(jpeg: Bytes) -> Bytes:
        file = io.BytesIO()
        Image.fromarray(decoded(jpeg)).convert(mode).save(file, "JPEG", restart_marker_blocks=2)
        return np.frombuffer(file.getvalue(), np.uint8)

    return encoded


def marker_lost(jpeg: Bytes) -> Bytes:
    found = next(at for at in range(700, len(jpeg)) if jpeg[at] == 0xFF and jpeg[at + 1] == 0xD3)
    return np.delete(jpeg, [found, found + 1])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda jpeg: jpeg_of(decoded(jpeg), 0), id="no restart markers"),
        pytest.param(lambda jpeg: jpeg_of(decoded(jpeg), 5), id="rows are not a multiple"),
        pytest.param(progressive, id="progressive"),
        pytest.param(of_pillow("CMYK"), id="CMYK"),
        pytest.param(marker_lost, id="a marker is missing"),
        pytest.param(lambda jpeg: jpeg[: len(jpeg) // 4], id="cut off before the crop ends"),
        pytest.param(lambda jpeg: jpeg[:300], id="cut off in the header"),
        pytest.param(lambda jpeg: jpeg[:0], id="empty"),
    ],
)
def test_others_are_left_to_the_decoder(change: Any) -> None:
    jpeg, shape, box = jpeg_of(pixels_of(375, 500, GRAIN, 1), 2), (375, 500), (100, 200, 90, 120)
    assert window_of(jpeg, shape, box)[0].size > 0
    part, window = window_of(np.ascontiguousarray(change(jpeg)), shape, box)
    assert (part.size, window) == (0, (0, 0, 375, 500))


SHORTENED = {"no restart markers": True, "rows are not a multiple": True, "a marker is missing": True}


@pytest.mark.parametrize("name", [*SHORTENED, "progressive", "CMYK", "cut off", "other sides", "all rows"])
def test_only_jpegs_whose_rows_follow_each_other_are_shortened(name: str) -> None:
    plain = jpeg_of(pixels_of(375, 500, GRAIN, 1), 0)
    change = {
        "no restart markers": as_is, "rows are not a multiple": lambda jpeg: jpeg_of(decoded(jpeg), 5),
        "a marker is missing": lambda jpeg: marker_lost(jpeg_of(decoded(jpeg), 2)), "progressive": progressive,
        "CMYK": of_pillow("CMYK"), "cut off": lambda jpeg: jpeg[:-2],
    }.get(name, as_is)  # fmt: skip
    jpeg = np.ascontiguousarray(change(plain))
    shape, box = (375, 499 if name == "other sides" else 500), (280 if name == "all rows" else 100, 200, 90, 120)
    out = np.empty(len(jpeg), np.uint8)
    size, window = shorten(jpeg, *shape, window_for_crop(box, *shape, WHOLE), out)
    if name in SHORTENED:
        assert (size, window) == (len(jpeg), (0, 0, 192, 500)), "12 rows of 16 pixels: 190 and two more"
        assert decoded(out[:size]).shape == (192, 500, 3)
    else:
        assert (size, window) == (0, (0, 0, *shape))


def test_an_error_is_not_taken_for_the_warning_of_skipped_rows() -> None:
    jpeg = jpeg_of(pixels_of(375, 500, GRAIN, 1), 0)
    out, box, scratch = np.empty((90, 90, 3), np.uint8), (100, 200, 90, 120), make_scratch(375, 500, 90)
    assert load_jpeg(jpeg, jpeg[:0], (375, 500), crop_of(box), WHOLE, True, False, scratch, None, out) == 0
    table = next(at for at in range(len(jpeg)) if jpeg[at] == 0xFF and jpeg[at + 1] == 0xC4)
    bad = jpeg.copy()
    bad[table + 5 : table + 21] = 255  # more codes than there can be
    assert load_jpeg(bad, bad[:0], (375, 500), crop_of(box), WHOLE, True, False, scratch, None, out) != 0


def test_sides_that_are_not_those_of_the_jpeg_are_left_to_the_decoder() -> None:
    jpeg = jpeg_of(pixels_of(375, 500, GRAIN, 1), 2)
    assert window_of(jpeg, (375, 499), (0, 0, 9, 9))[0].size == window_of(jpeg, (374, 500), (0, 0, 9, 9))[0].size == 0


@settings(max_examples=400)
@given(st.integers(0, 2**32))
def test_damage_stays_within_the_bytes_that_there_are(seed: int) -> None:
    random = np.random.default_rng(seed)
    jpeg = jpeg_of(pixels_of(80, 96, GRAIN, 1), 2)
    area = len(jpeg) if seed % 2 else 640
    for _ in range(random.integers(1, 20)):
        jpeg[random.integers(0, area)] = random.choice([0, 0xFF, 0xD0, 0xD9, 0xDA, 0xDD, int(random.integers(256))])
    fence = 4096
    memory = np.full(len(jpeg) + 2 + 2 * fence, 0xAB, np.uint8)
    out = memory[fence : fence + len(jpeg) + 2]
    size, window = cut(jpeg, 80, 96, window_for_crop((20, 30, 20, 20), 80, 96, WHOLE), out)
    assert 0 <= size <= len(out) and (memory[:fence] == 0xAB).all() and (memory[-fence:] == 0xAB).all()
    assert 0 < window.height <= 80 and 0 < window.width <= 96
