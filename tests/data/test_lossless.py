"""Restart markers put into JPEGs without loss: every decoder makes the same pixels, whatever the JPEG is like."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from resnet_exp.data.kernels.lossless import huffman, source
from support.decoding import Decoders
from support.jpegs import SAMPLINGS, Bytes, encoded, pixels_of, real_jpegs
from support.mixed_tree import packaged_pictures

GROWTH = 1.03


@pytest.fixture(autouse=True, scope="module")
def room_for_tables() -> Iterator[None]:
    """Pillow 13.0 gives too little memory to its encoder when it makes tables for small images with much in them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageFile, "MAXBLOCK", 2**22)
        yield


def by_pillow(jpeg: bytes) -> Bytes:
    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image)


def assert_same_pixels(jpeg: bytes, marked: source.JPEG) -> None:
    """By Pillow's decoder and by that of the loaders, which warns of nothing."""
    ours = marked.content.tobytes()
    assert np.array_equal(by_pillow(ours), by_pillow(jpeg))
    assert by_pillow(ours).shape[:2] == (marked.height, marked.width)
    assert source.as_it_is(ours) is not None
    assert np.array_equal(by_opencv(ours), by_opencv(jpeg))
    assert len(ours) <= GROWTH * len(jpeg)


def by_opencv(jpeg: bytes) -> Bytes:
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    assert pixels is not None
    return pixels.astype(np.uint8, copy=False)


def interval_of(jpeg: Bytes) -> int:
    """What the header says; 0 without one."""
    at = jpeg.tobytes().find(b"\xff\xdd\x00\x04")
    return 0 if at < 0 else int.from_bytes(jpeg[at + 4 : at + 6].tobytes(), "big")


def test_real_photographs_keep_every_pixel() -> None:
    done = 0
    for path in filter(Path.is_file, real_jpegs()):
        content = path.read_bytes()
        if (marked := source.marked(content)) is not None:
            assert_same_pixels(content, marked)
            done += 1
        else:
            try:
                mode = Image.open(io.BytesIO(content)).mode
            except OSError:
                continue
            again = source.as_it_is(content)
            assert mode == "CMYK" or (again is not None and again.content.tobytes() == content)
    assert done >= 3


@settings(max_examples=200)
@given(
    *(st.integers(1, 300), st.integers(1, 300), st.sampled_from(sorted(SAMPLINGS))),
    *(st.integers(1, 100), st.sampled_from([0, 0, 1, 2, 7]), st.integers(0, 7), st.integers(0, 255)),
    st.integers(0, 2**32),
)
def test_the_pixels_are_those_of_the_file(
    height: int, width: int, sampling: str, quality: int, interval: int, more: int, grain: int, seed: int
) -> None:
    pixels = pixels_of(height, width, grain, seed)
    jpeg = encoded(pixels, sampling, quality, interval, more)
    marked = source.marked(jpeg)
    if marked is not None:
        assert_same_pixels(jpeg, marked)
        assert interval_of(marked.content) > 0
    else:
        stays = source.as_it_is(jpeg)
        assert stays is not None and stays.content.tobytes() == jpeg


@cache
def photo(longest: int = 500, **how: Any) -> bytes:
    picture = packaged_pictures()["china"]
    picture.thumbnail((longest, longest))
    file = io.BytesIO()
    picture.save(file, "JPEG", **{"quality": 90, **how})
    return file.getvalue()


def test_markers_are_as_near_as_the_bytes_allow() -> None:
    """Of 32 units in a row every second one where that takes 3 % at most, else fewer, and none in tiny files."""
    intervals = {}
    for quality in (95, 60, 30, 10):
        jpeg = photo(quality=quality)
        marked = source.marked(jpeg)
        assert marked is not None
        assert_same_pixels(jpeg, marked)
        intervals[quality] = interval_of(marked.content)
    assert intervals[95] == 2 < intervals[60] <= intervals[30] <= intervals[10]
    assert all(32 % interval == 0 for interval in intervals.values())
    flat = encoded(np.full((500, 334, 3), 128, np.uint8), "4:4:4", 50, 0, 0)
    assert source.marked(flat) is None


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_crops_are_cut_out_of_what_is_marked(mode: str) -> None:
    file = io.BytesIO()
    Image.open(io.BytesIO(photo())).convert(mode).save(file, "JPEG", quality=95)
    marked = source.marked(file.getvalue())
    assert marked is not None
    decoders, box = Decoders((marked.height, marked.width)), (100, 200, 90, 120)
    expected = decoders.decode(file.getvalue(), box).whole
    window, _, place = decoders.decode(marked.content.tobytes(), box)
    # What is above the crop is not looked at: there is a marker behind it.
    above = marked.content.copy()
    above[above.size // 8 : above.size // 8 + 20] = 0
    without = decoders.decode(above.tobytes(), box).window
    assert place.top > 0 and window is not None and without is not None and expected is not None
    assert np.array_equal(window, expected) and np.array_equal(without, expected)


def test_a_table_that_lacks_a_difference_gets_it() -> None:
    """A flat image whose first blocks are bright: all differences but the first are zero, at a marker none is."""
    pixels = np.full((256, 256, 3), 200, np.uint8)
    pixels[::8, ::8] = np.random.default_rng(0).integers(0, 256, (32, 32, 1))
    jpeg = encoded(pixels, "4:4:4", 100, 0, 1)
    marked = source.marked(jpeg)
    assert marked is not None
    assert_same_pixels(jpeg, marked)

    def symbols(content: bytes) -> int:
        at = content.find(b"\xff\xc4")
        return sum(content[at + 5 : at + 21])

    assert symbols(marked.content.tobytes()) == 12 > symbols(jpeg)


def test_metadata_is_dropped_and_what_colors_depend_on_stays() -> None:
    jpeg = encoded(np.asarray(Image.open(io.BytesIO(photo()))), "4:2:0", 90, 0, 5)
    marked = source.marked(jpeg)
    assert marked is not None and marked.content.size < len(jpeg) - 9_000
    image = Image.open(io.BytesIO(marked.content.tobytes()))
    assert not image.getexif() and "icc_profile" not in image.info and "jfif" in image.info


def test_files_that_cannot_be_marked() -> None:
    plain = photo()
    assert source.marked(plain) is not None
    progressive = photo(progressive=True)
    stays = source.as_it_is(progressive)
    assert source.marked(progressive) is None and stays is not None and stays.content.tobytes() == progressive
    file = io.BytesIO()
    Image.open(io.BytesIO(plain)).convert("CMYK").save(file, "JPEG")
    end = plain[:-2]
    tables = plain.find(b"\xff\xc4")
    scan = plain.find(b"\xff\xda")
    twelve_bits = bytearray(plain)
    twelve_bits[plain.find(b"\xff\xc0") + 4] = 12
    arithmetic = plain.replace(b"\xff\xc0", b"\xff\xc9", 1)
    for name, content in {
        "CMYK": file.getvalue(), "cut off": plain[: len(plain) // 2], "no end": end, "empty": b"", "PNG": b"\x89PNG",
        "12 bits": bytes(twelve_bits), "not what it says": arithmetic,
    }.items():  # fmt: skip
        assert source.marked(content) is None, name
        assert source.as_it_is(content) is None, name
    # Of motion pictures: the decoder knows the tables.
    assert source.marked(plain[:tables] + plain[scan:]) is None
    more = end + b"more\xff\xd9"
    stays = source.as_it_is(more)
    assert source.marked(more) is None and stays is not None and stays.content.tobytes() == more
    # What follows the end does not count.
    trailing = source.marked(plain + b"a second image")
    assert trailing is not None and np.array_equal(by_pillow(trailing.content.tobytes()), by_pillow(plain))


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_damage_is_found_or_changes_no_more_pixels(seed: int) -> None:
    random = np.random.default_rng(seed)
    jpeg = bytearray(photo(96, optimize=seed % 3 == 0, restart_marker_blocks=seed % 2 * 3))
    area = len(jpeg) if seed % 2 else 640
    for _ in range(random.integers(1, 6)):
        jpeg[random.integers(0, area)] = random.choice([0, 0xFF, 0xD0, 0xD9, 0xDA, 0xDD, int(random.integers(256))])
    marked = source.marked(bytes(jpeg))
    if marked is not None and (whole := source.as_it_is(bytes(jpeg))) is not None:
        ours = source.as_it_is(marked.content.tobytes())
        assert ours is not None and (ours.height, ours.width) == (whole.height, whole.width)
        assert np.array_equal(by_opencv(ours.content.tobytes()), by_opencv(bytes(jpeg)))


def test_a_table_without_room_for_more_symbols_is_left() -> None:
    """Without numba, which does not check bounds."""
    table = np.zeros(huffman.TABLE_BYTES, np.uint8)
    table[huffman.LENGTHS - 5] = 250  # codes of 12 bits, all of them for one difference
    before = table.copy()
    assert not cast(Any, huffman.complete).py_func(table)
    assert (table == before).all()
