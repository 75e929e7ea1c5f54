"""Images made of a part of a JPEG are those that are made of the whole, whatever it is like: with an index, without."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageFile

from resnet_exp.data.kernels.batch import load_jpeg, make_scratch
from resnet_exp.data.kernels.crops import crop_of
from resnet_exp.data.kernels.jpeg import EIGHTHS, measure, window_for_crop
from resnet_exp.data.kernels.lossless import source
from resnet_exp.data.kernels.lossless.crops import extract, make_tools, room_beside, skip
from support.jpegs import SAMPLINGS, Bytes, encoded, pixels_of, real_jpegs
from support.mixed_tree import packaged_pictures

MOST_SHARE = 0.02
SIDE = 24


@pytest.fixture(autouse=True, scope="module")
def room_for_tables() -> Iterator[None]:
    """Pillow 13.0 gives too little memory to its encoder when it makes tables for small images with much in them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageFile, "MAXBLOCK", 2**22)
        yield


def points_of(jpeg: bytes) -> Bytes:
    words = source.points_of(jpeg)
    assert words.nbytes <= MOST_SHARE * len(jpeg)
    return np.frombuffer(words.astype(">u8").tobytes(), np.uint8)


def sides_of(jpeg: bytes) -> tuple[int, int]:
    place, sides = np.zeros(1, np.int64), np.zeros((2, 1), np.int64)
    measure(np.frombuffer(jpeg, np.uint8), place, place + len(jpeg), sides[0], sides[1])
    return int(sides[0, 0]), int(sides[1, 0])


def assert_same_crops(jpeg: bytes, points: Bytes, count: int, random: np.random.Generator) -> int:
    """Compare crops at all of libjpeg-turbo's fast scales; returns how many were cut out by the index."""
    height, width = shape = sides_of(jpeg)
    scratch, data, cut_out = make_scratch(height, width, SIDE), np.frombuffer(jpeg, np.uint8), 0
    tools = make_tools(height, width)
    for _ in range(count):
        side = int(random.integers(1, SIDE + 1))
        part, skipped, whole = (np.empty((side, side, 3), np.uint8) for _ in range(3))
        high, wide = (int(random.integers(1, length + 1)) for length in shape)
        box = (int(random.integers(0, height - high + 1)), int(random.integers(0, width - wide + 1)), high, wide)
        # As a loader has it, a crop is not enlarged because of its scale.
        scale = next(
            scale for scale in (1, 2, 4, EIGHTHS) if min(high, wide) * scale >= EIGHTHS * side or scale == EIGHTHS
        )
        for out, known, memory in ((part, points, tools), (skipped, points[:0], tools), (whole, points[:0], None)):
            # As a loader has it: rows below the crop are not decoded.
            assert load_jpeg(data, known, shape, crop_of(box), scale, True, False, scratch, memory, out) == 0
        assert np.array_equal(part, whole) and np.array_equal(skipped, whole), (box, scale)
        need = window_for_crop(box, height, width, scale)
        size, _ = extract(data, points, height, width, need, tools, scratch.jpeg)
        cut_out += size > 0
    return cut_out


def test_real_photographs_keep_every_pixel() -> None:
    random, done = np.random.default_rng(3), 0
    for path in real_jpegs():
        content = path.read_bytes() if path.is_file() else b""
        if (points := points_of(content)).size and max(sides_of(content)) < 3000:
            done += assert_same_crops(content, points, 12, random) > 0
    assert done >= 3


@settings(max_examples=300)
@given(
    *(st.integers(1, 300), st.integers(1, 300), st.sampled_from(sorted(SAMPLINGS))),
    *(st.integers(1, 100), st.sampled_from([0, 0, 0, 2]), st.integers(0, 7), st.integers(0, 255)),
    st.integers(0, 2**32),
)
def test_an_image_does_not_depend_on_what_was_cut_out(
    height: int, width: int, sampling: str, quality: int, interval: int, more: int, grain: int, seed: int
) -> None:
    jpeg = encoded(pixels_of(height, width, grain, seed), sampling, quality, interval, more)
    points = points_of(jpeg)
    assert interval == 0 or points.size == 0 or max(height, width) <= 32
    assert_same_crops(jpeg, points, 6, np.random.default_rng(seed))


def photo(**how: Any) -> bytes:
    file = io.BytesIO()
    packaged_pictures()["china"].resize((500, 375)).save(file, "JPEG", **{"quality": 90, **how})
    return file.getvalue()


@pytest.mark.parametrize("way", ["by an index", "without"])
@pytest.mark.parametrize("box", [(100, 200, 90, 120), (100, 0, 90, 120), (0, 380, 90, 120), (280, 0, 95, 120)])
def test_a_small_part_of_the_file_is_left_for_a_small_crop(box: tuple[int, int, int, int], way: str) -> None:
    jpeg, tools = photo(), make_tools(375, 500)
    data, out = np.frombuffer(jpeg, np.uint8), np.empty(375 * 500 * 3 + room_beside(375, 500), np.uint8)
    need = window_for_crop(box, 375, 500, EIGHTHS)
    if way == "by an index":
        size, window = extract(data, points_of(jpeg), 375, 500, need, tools, out)
    else:
        size, window = skip(data, 375, 500, need, tools, out)
    assert 0 < size < len(jpeg) / 4
    assert window.top <= need.top and window.left <= need.left
    assert window.top + window.height >= need.top + need.height
    assert window.left + window.width >= need.left + need.width
    assert source.as_it_is(out[:size].tobytes()) is not None, "libjpeg-turbo warns of nothing"


def test_files_that_are_not_indexed() -> None:
    plain = photo()
    assert points_of(plain).size > 0
    for content in (photo(progressive=True), photo(restart_marker_blocks=5), plain[:-300], b"", b"\x89PNG", plain[:1]):
        assert points_of(content).size == 0
    tiny = encoded(np.full((40, 40, 3), 128, np.uint8), "4:4:4", 50, 0, 0)
    assert points_of(tiny).size == 0


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_a_damaged_index_is_not_used(seed: int) -> None:
    random, jpeg = np.random.default_rng(seed), photo()
    points = points_of(jpeg).copy()
    points[random.integers(0, points.size)] ^= 1 << int(random.integers(0, 8))
    if seed % 5 == 0:
        points = points[: 8 * int(random.integers(0, points.size // 8))]
    assert assert_same_crops(jpeg, points, 2, random) == 0


@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_a_damaged_file_is_what_it_is_without_skipping(seed: int) -> None:
    random, data = np.random.default_rng(seed), np.frombuffer(photo(), np.uint8).copy()
    for _ in range(int(random.integers(1, 4))):
        data[random.integers(600, data.size)] = random.integers(0, 256)
    if seed % 4 == 0:
        data = data[: int(random.integers(1, data.size))]
    tools, scratch, box = make_tools(375, 500), make_scratch(375, 500, SIDE), (200, 300, 60, 80)
    found = []
    for memory in (tools, None):
        out = np.zeros((SIDE, SIDE, 3), np.uint8)
        status = load_jpeg(data, data[:0], (375, 500), crop_of(box), EIGHTHS, True, False, scratch, memory, out)
        found.append(None if status else out.tobytes())
    # Damage behind the crop is not seen where it is skipped.
    assert found[0] == found[1] or found[1] is None
