"""Codes that no encoder chooses: the decoder and the marker read them as libjpeg-turbo does, or leave them to it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from resnet_exp.data.kernels.lossless import source
from support.coded_jpegs import END, ZEROS, Code, Table, gray_jpeg, random_block, random_table
from support.decoding import Decoders
from support.jpegs import Bytes

ACROSS, DOWN = 24, 16
DECODERS = Decoders((8 * DOWN, 8 * ACROSS))
# Small first coefficients, and of the others the end, a run of zeros, ones behind short runs, and long numbers.
FIRST = Table([*range(12)], [0, 0, 0, 8, 4] + [0] * 11)
OTHERS = Table([0x01, END, 0x11, ZEROS, 0xE1, 0xF1, 0x0A, 0x0F, 0x02], [0, 2, 1, 1, 1, 1, 1, 1] + [0] * 7 + [1])


def points_of(jpeg: bytes) -> Bytes:
    return np.frombuffer(source.points_of(jpeg).astype(">u8").tobytes(), np.uint8)


def decoded(jpeg: bytes, fast: bool = False, points: Bytes | None = None) -> tuple[Bytes | None, Bytes | None]:
    """By the project's decoder and by libjpeg-turbo; None from one that refuses the file."""
    window, whole, _ = DECODERS.decode(jpeg, None, 8, fast, points)
    return window, whole


def assert_same(jpeg: bytes, fast: bool = False, points: Bytes | None = None) -> None:
    window, whole = decoded(jpeg, fast, points)
    assert window is not None and whole is not None and np.array_equal(window, whole)


def difference(value: int) -> Code:
    """The code of a first coefficient's difference."""
    size = abs(value).bit_length()
    return size, f"{value if value > 0 else value + (1 << size) - 1:0{size}b}" if size > 0 else ""


def by_pillow(jpeg: bytes) -> Bytes:
    return np.asarray(Image.open(io.BytesIO(jpeg)))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 200), st.sampled_from([0.0, 0.5, 0.9, 0.99]), st.integers(0, 2**32), st.booleans())
def test_any_table_and_any_sound_blocks(count: int, deep: float, seed: int, fast: bool) -> None:
    random = Random(seed)
    # Of larger numbers the library's accurate transform makes other pixels in blocks of nothing but a first row.
    largest = random.choice([1, 2, 5, 10, 15 if fast else 13])
    known = [symbol for symbol in range(1, 256) if symbol & 15 <= largest]
    symbols = [END, *random.sample(known, min(count, len(known)))]
    first, others = random_table(range(12), 0.3, random), random_table(symbols, deep, random)
    blocks, value = list[Sequence[Code]](), 0
    for _ in range(ACROSS * DOWN):
        change = random.randint(max(-500, -1024 - value), min(500, 1023 - value))
        value += change
        blocks.append([difference(change), *random_block(symbols, random)])
    jpeg = gray_jpeg(ACROSS, DOWN, (first, others), blocks)
    for points in (points_of(jpeg), None):
        assert_same(jpeg, fast, points)
    marked = source.marked(jpeg)
    assert marked is not None or len(jpeg) < 8000
    if marked is not None:
        assert np.array_equal(by_pillow(marked.content.tobytes()), by_pillow(jpeg))
        assert_same(marked.content.tobytes(), fast)


ONE: Code = (0x01, "1")
LONG: Code = (0x02, "10")
ENDS: Code = (END, "")
RUN: Code = (ZEROS, "")
BLOCKS: dict[str, tuple[Sequence[Code], bool]] = {
    "one": ([ONE, ENDS], True),
    "to the last coefficient": ([ONE] * 63, True),
    "an end behind the last but one": ([ONE] * 62 + [ENDS], True),
    "a run to the last coefficient": ([RUN, RUN, RUN, (0xE1, "0")], True),
    "zeros to the last coefficient": ([ONE] * 15 + [RUN] * 3, True),
    "a run beyond the block": ([RUN, RUN, RUN, (0xF1, "1")], False),
    "the longest run beyond the block": ([ONE] * 62 + [(0xF1, "1")], False),
    "zeros beyond the block": ([RUN] * 4, False),
    "zeros far beyond the block": ([ONE] * 62 + [RUN], False),
    "a long number": ([(0x0A, "0111111111"), (0x0F, "0" * 15), (0x0F, "1" * 15), (0x02, "01"), ENDS], True),
    "a long number at the end": ([ONE] * 62 + [(0x0F, "1" * 15)], True),
}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("place", range(4))
def test_where_a_block_ends(name: str, place: int) -> None:
    """Whatever comes before and behind: codes are looked up in pairs."""
    codes, sound = BLOCKS[name]
    around = [ENDS], [ONE] * 63, [LONG] * 63, [*[ONE] * 62, ENDS]
    blocks = [[difference(0), *around[number % 4]] for number in range(ACROSS * DOWN)]
    blocks[40 + place] = [difference(2), *codes]
    jpeg = gray_jpeg(ACROSS, DOWN, (FIRST, OTHERS), blocks)
    window, whole = decoded(jpeg)
    assert (window is not None) is sound
    assert (source.marked(jpeg) is not None) is sound
    assert (points_of(jpeg).size > 0) is sound
    assert whole is not None, "libjpeg-turbo takes all of them"
    assert window is None or np.array_equal(window, whole)


def test_a_code_that_is_none_is_refused() -> None:
    """In the place of a first coefficient, and of others behind none, one and two."""
    block = [difference(0), *[LONG] * 40, ENDS]
    for before in ([], [difference(0)], [difference(0), ONE], [difference(0), ONE, ONE]):
        sound = [block] * (ACROSS * DOWN)
        jpeg = gray_jpeg(ACROSS, DOWN, (FIRST, OTHERS), [*sound[1:], before], "1" * 16 + "01" * 500)
        assert decoded(jpeg) == (None, None)
        assert source.marked(jpeg) is None and points_of(jpeg).size == 0


@pytest.mark.parametrize("short", [1, 2, 8])
def test_codes_that_end_too_early_are_refused(short: int) -> None:
    """By bytes: even where the last block seems to be whole."""
    blocks = [[difference(0), *[LONG] * 63]] * (ACROSS * DOWN)
    jpeg = gray_jpeg(ACROSS, DOWN, (FIRST, OTHERS), blocks)
    assert decoded(jpeg)[0] is not None
    jpeg = jpeg[: -2 - short] + jpeg[-2:]
    assert decoded(jpeg) == (None, None)
    assert source.marked(jpeg) is None and points_of(jpeg).size == 0


def test_the_largest_differences() -> None:
    """Of first coefficients: eleven bits, also behind a new marker."""
    changes = [-1024, *[2000, -2000] * (ACROSS * DOWN)]
    blocks = [[difference(changes[number]), *[LONG] * 40, ENDS] for number in range(ACROSS * DOWN)]
    jpeg = gray_jpeg(ACROSS, DOWN, (FIRST, OTHERS), blocks)
    marked = source.marked(jpeg)
    assert marked is not None and points_of(jpeg).size > 0
    for content in (jpeg, marked.content.tobytes()):
        assert_same(content)


def test_all_colors() -> None:
    """Each pair of color differences, at an eighth of the size: a block of one color makes a pixel."""
    steps = np.arange(256, dtype=np.uint8)
    colors = np.stack(np.broadcast_arrays(steps[:, None] ^ steps, steps[:, None], steps), axis=2)
    file = io.BytesIO()
    Image.fromarray(colors.repeat(8, 0).repeat(8, 1), "YCbCr").save(file, "JPEG", quality=100, subsampling=0)
    window, whole, _ = Decoders((2048, 2048)).decode(file.getvalue(), scale=1)
    assert window is not None and whole is not None and np.array_equal(window, whole)
