"""Damaged and hostile JPEGs: they are decoded within the memory for them, or as libjpeg-turbo does."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_exp.data.kernels.batch import load, make_scratch, to_read
from resnet_exp.data.kernels.decoder.ready import sizes_of
from resnet_exp.data.kernels.rule import AS_FFCV, AS_PILLOW
from support.damaged_jpegs import rule_for, sample_of, segment, segments_of
from support.jpegs import Bytes

pytestmark = pytest.mark.usefixtures("compiled")
SIDE = 32


def loaded(jpeg: bytes, like: int) -> tuple[int, Bytes]:
    """What the decoder says of a JPEG, and all of its pixels, as a loader makes them."""
    out, number = np.zeros((1, SIDE, SIDE, 3), np.uint8), np.zeros(1, np.int64)
    sample, scratch = sample_of(SIDE, SIDE, len(jpeg), 0), make_scratch(sizes_of(2 * SIDE, 2 * SIDE), SIDE)
    status = number.copy()
    data, rule = to_read(np.frombuffer(jpeg, np.uint8).copy()), rule_for(like, False, SIDE)
    load(data, sample, rule, scratch, number, out, status)
    return int(status[0]), out[0]


def noise() -> bytes:
    """A JPEG."""
    pixels, file = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8), io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=100, subsampling=0)
    return file.getvalue()


def with_tables(tables: bytes) -> bytes:
    """A JPEG that has `tables` instead of its segments of quantization tables."""
    jpeg = noise()
    (first, _), *_ = found = [(start, end) for start, end in segments_of(jpeg) if jpeg[start + 1] == 0xDB]
    for start, end in reversed(found):
        jpeg = jpeg[:start] + jpeg[end:]
    return jpeg[:first] + tables + jpeg[first:]


# libjpeg-turbo passes over a number of lines (DNL); the project's decoder leaves such a file to it.
REFUSED = segment(0xDC, b"\0\0")


@pytest.mark.parametrize("like", [AS_FFCV, AS_PILLOW])
@pytest.mark.parametrize("factor", [1, 8, 255, 1000, 40000, 65535])
def test_overflow(like: int, factor: int) -> None:
    """Coefficients that no image has: sums of more than 16 bits are those of libjpeg-turbo."""
    tables = b"".join(segment(0xDB, bytes([16 + number]) + factor.to_bytes(2, "big") * 64) for number in range(2))
    status, pixels = loaded(with_tables(tables), like)
    status_theirs, theirs = loaded(with_tables(tables + REFUSED), like)
    assert status == status_theirs == 0
    assert np.array_equal(pixels, theirs)


def test_code_of_ones() -> None:
    """No code may be of ones alone: libjpeg-turbo takes no such file."""
    jpeg = noise()
    start, end = next(place for place in segments_of(jpeg) if jpeg[place[0] + 1] == 0xC4 and jpeg[place[0] + 4] == 0x10)
    counts = jpeg[start + 5 : start + 20] + bytes([jpeg[start + 20] + 1])
    table = segment(0xC4, b"\x10" + counts + jpeg[start + 21 : end] + b"\x0b")
    assert loaded(jpeg, AS_PILLOW)[0] == 0
    assert loaded(jpeg[:start] + table + jpeg[end:], AS_PILLOW)[0] != 0


def test_memory() -> None:
    """Nothing beside the memory is read or written, whatever a file says: that would end the process."""
    command = [sys.executable, "-m", "support.damaged_jpegs", "7", "4000"]
    run = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert run.returncode == 0, (run.returncode, run.stderr)
    assert all(int(count) > 2000 for count in run.stdout.split())
