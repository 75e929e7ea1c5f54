"""What a crop needs of a JPEG has the pixels that libjpeg-turbo makes of the whole, whatever the JPEG is like."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from resnet_exp.data.conversion.encode import Settings, encode, restart_interval
from resnet_exp.data.kernels.lossless import source
from support.decoding import SCALES, Box, Decoders, random_box, sides_of
from support.jpegs import SAMPLINGS, Bytes, encoded, pixels_of, real_jpegs
from support.mixed_tree import packaged_pictures

MOST_SHARE = 0.02
CROP: Box = (100, 200, 90, 120)


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


def assert_same_pixels(jpeg: bytes, count: int, random: np.random.Generator) -> int:
    """Compare the whole and some crops at all scales, by an index and without; returns how many were decoded."""
    shape, points, done = sides_of(jpeg), points_of(jpeg), 0
    decoders = Decoders(shape)
    for number in range(count):
        box = random_box(shape, random) if number else None
        for scale in SCALES:
            for fast in (False, True):
                for known in (points, points[:0]):
                    window, whole, _ = decoders.decode(jpeg, box, scale, fast, known)
                    if window is None:
                        continue
                    assert whole is not None and np.array_equal(window, whole), (box, scale, fast, known.size)
                    done += 1
    return done


def photo(**how: Any) -> bytes:
    file = io.BytesIO()
    image = packaged_pictures()["china"].resize((500, 375)).convert(how.pop("mode", "RGB"))
    image.save(file, "JPEG", **{"quality": 90, **how})
    return file.getvalue()


def test_the_pixels_are_those_of_pillow() -> None:
    for how in ({}, {"subsampling": 0}, {"subsampling": 1}, {"mode": "L"}, {"optimize": True}, {"quality": 100}):
        jpeg = photo(**how)
        window = Decoders((375, 500)).decode(jpeg).window
        assert window is not None
        assert np.array_equal(window, np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))), how


def test_real_photographs() -> None:
    random, done = np.random.default_rng(3), 0
    for path in real_jpegs():
        content = path.read_bytes() if path.is_file() else b""
        if 0 < max(sides_of(content)) < 3000:
            done += assert_same_pixels(content, 4, random) > 0
    assert done >= 3


@settings(max_examples=300)
@given(
    *(st.integers(1, 300), st.integers(1, 300), st.sampled_from(sorted(SAMPLINGS))),
    *(st.integers(1, 100), st.sampled_from([0, 0, 0, 1, 2, 7, 300]), st.integers(0, 7), st.integers(0, 255)),
    st.integers(0, 2**32),
)
def test_random_images(
    height: int, width: int, sampling: str, quality: int, interval: int, more: int, grain: int, seed: int
) -> None:
    jpeg = encoded(pixels_of(height, width, grain, seed), sampling, quality, interval, more)
    done = assert_same_pixels(jpeg, 3, np.random.default_rng(seed))
    assert done > 0 or width < 8 or len(jpeg) > 3 * 200 * 200


@pytest.mark.parametrize("sampling", sorted(SAMPLINGS))
def test_the_edges_of_an_image(sampling: str) -> None:
    """All crops of 2x2 pixels at the edges of an image: the decoder treats edges in its own way."""
    for height, width in ((33, 150), (150, 97), (64, 64), (47, 51)):
        jpegs = [encoded(pixels_of(height, width, 30, 3), sampling, 95, interval, 0) for interval in (0, 3)]
        decoders = Decoders((height, width))
        tops = sorted({*range(min(20, height - 1)), *range(max(0, height - 20), height - 1)})
        lefts = sorted({*range(min(20, width - 1)), *range(max(0, width - 20), width - 1)})
        for number, (top, left) in enumerate((top, left) for top in tops for left in lefts):
            jpeg, fast = jpegs[number % 2], number % 3 == 0
            window, whole, _ = decoders.decode(jpeg, (top, left, 2, 2), 8, fast)
            assert window is not None and whole is not None and np.array_equal(window, whole), (
                height,
                width,
                top,
                left,
            )


def damaged(jpeg: bytes, share: float) -> bytes:
    """With some bytes of its codes overwritten, at a share of them."""
    at = int(len(jpeg) * share)
    return jpeg[:at] + bytes(20) + jpeg[at + 20 :]


def test_what_a_crop_does_not_need_is_not_looked_at() -> None:
    """Neither codes behind it, nor pieces between restart markers beside it, nor codes beside points of an index."""
    decoders = Decoders((375, 500))
    plain, marked = photo(), photo(restart_marker_blocks=4)
    for jpeg, share, points in (
        (plain, 0.9, None), (marked, 0.9, None), (marked, 0.1, None), (plain, 0.1, points_of(plain)),
    ):  # fmt: skip
        bad = damaged(jpeg, share)
        assert decoders.decode(bad, None, 8, False, points).window is None
        window, whole = decoders.decode(bad, CROP, 8, False, points).window, decoders.decode(jpeg, CROP).whole
        assert window is not None and whole is not None and np.array_equal(window, whole), (len(jpeg), share)
    place = decoders.decode(plain, CROP).place
    assert place.height <= CROP[2] + 2 * 16 + 4 and place.width <= CROP[3] + 2 * 16 + 4


def test_what_is_converted_can_be_decoded_in_part(tmp_path: Any) -> None:
    """Of every width, also of those whose number of blocks has no small divisor."""
    for width in range(8, 513, 7):
        path = str(tmp_path / "image.png")
        cv2.imwrite(path, pixels_of(64, width, 30, width))
        content = encode(path, "image.png", Settings("jpg", None, 1.0, 90)).content.tobytes()
        assert b"\xff\xdd\x00\x04" in content or restart_interval(width) == 0
        window, whole, place = Decoders((64, width)).decode(content, (0, 0, 1, 1))
        assert window is not None and whole is not None and np.array_equal(window, whole)
        assert (place.top, place.left, place.height) == (0, 0, 16) and place.width <= 16


def of_pillow(mode: str) -> Any:
    def encoded(jpeg: bytes) -> bytes:
        file = io.BytesIO()
        Image.open(io.BytesIO(jpeg)).convert(mode).save(file, "JPEG", restart_marker_blocks=2)
        return file.getvalue()

    return encoded


def marker_lost(jpeg: bytes) -> bytes:
    found = jpeg.index(b"\xff\xd3", 700)
    return jpeg[:found] + jpeg[found + 2 :]


def of_rgb(jpeg: bytes) -> bytes:
    """Says that its three components are red, green and blue."""
    frame, scan = jpeg.index(b"\xff\xc0"), jpeg.index(b"\xff\xda")
    changed = bytearray(jpeg)
    for number, name in enumerate(b"RGB"):
        changed[frame + 10 + 3 * number] = changed[scan + 5 + 2 * number] = name
    # Without JFIF's segment, which says that they are not.
    return bytes(changed[:2] + changed[20:])


REFUSED: dict[str, Any] = {
    "progressive": lambda jpeg: photo(progressive=True),
    "CMYK": of_pillow("CMYK"),
    "RGB": of_rgb,
    "a marker is missing": marker_lost,
    "cut off before the crop ends": lambda jpeg: jpeg[: len(jpeg) // 4],
    "cut off in the header": lambda jpeg: jpeg[:300],
    "empty": lambda jpeg: b"",
    "no JPEG": lambda jpeg: b"\x89PNG" + jpeg,
    "other sides": lambda jpeg: photo().replace(b"\x01\x77\x01\xf4", b"\x01\x76\x01\xf4", 1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_others_are_left_to_the_library(name: str) -> None:
    jpeg, decoders = photo(restart_marker_blocks=2), Decoders((375, 500))
    assert decoders.decode(jpeg, CROP).window is not None
    assert decoders.decode(REFUSED[name](jpeg), CROP).window is None


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
    window, whole, _ = Decoders((375, 500)).decode(jpeg, random_box((375, 500), random), 8, False, points)
    assert window is not None and whole is not None and np.array_equal(window, whole)


@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_a_damaged_file_that_the_library_takes_has_its_pixels(seed: int) -> None:
    random, data = np.random.default_rng(seed), bytearray(photo(restart_marker_blocks=seed % 3))
    for _ in range(int(random.integers(1, 4))):
        data[random.integers(150, len(data))] = random.integers(0, 256)
    if seed % 4 == 0:
        data = data[: int(random.integers(1, len(data)))]
    window, whole, _ = Decoders((375, 500)).decode(bytes(data), (200, 300, 60, 80), SCALES[seed % 4], seed % 8 < 4)
    # Damage behind the crop is not seen, and then whole is None.
    assert window is None or whole is None or np.array_equal(window, whole)
