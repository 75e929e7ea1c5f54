"""The bytes of an FFCV file of version 2, as FFCV 1.0.2 reads them (``ffcv/types.py``, ``ffcv/writer.py``).

A header, two field descriptors, a row of 24 bytes a sample; pages of pixels or JPEGs, no image in two of them; a table
of where each image is.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

VERSION = 2
HEADER = struct.Struct("<HHIQQ")  # version, fields, page size, samples, where the table of images begins
FIELD = struct.Struct("<B16s1024s")  # type, name, arguments
IMAGE_TYPE, LABEL_TYPE = 2, 1
FIELDS = ((IMAGE_TYPE, b"image"), (LABEL_TYPE, b"label"))
ROW = struct.Struct("<BHHQ3xq")  # mode, width, height, where, class
PLACE = struct.Struct("<QQQ")  # sample, where, bytes
JPEG, RAW = 0, 1  # modes of an image
MODES = ("raw", "jpg", "proportion", "source")
# FFCV's default size of a page, and that for images that keep their size.
PAGE_BYTES, LARGE_PAGE_BYTES = 2**23, 2**26
# A page must be addressed in 32 bits: a square image of this side fills the largest one.
MAX_PAGE_BYTES, MAX_RESOLUTION = 2**31, 26_000


@dataclass(frozen=True)
class Placed:
    """An image in the file: `at` and `size` in bytes, `width` and `height` in pixels, its class number."""

    mode: int
    width: int
    height: int
    at: int
    size: int
    label: int


@dataclass(frozen=True)
class Header:
    """What the first 24 bytes say."""

    version: int
    fields: int
    page_bytes: int
    images: int
    table_at: int


def page_bytes(max_resolution: int | None) -> int:
    """Bytes of a page that holds any image of that longest side."""
    return page_of(LARGE_PAGE_BYTES if max_resolution is None else 3 * max_resolution**2)


def page_of(wanted: int) -> int:
    """Bytes of a page that holds so many."""
    size = PAGE_BYTES
    while size < wanted and size < MAX_PAGE_BYTES:
        size *= 2
    return size


def rows_at() -> int:
    """Where the rows begin."""
    return HEADER.size + len(FIELDS) * FIELD.size


def pages_at(images: int, page: int) -> int:
    """Where the first page begins: at the first multiple of the page size after the rows of that many images."""
    return -(-(rows_at() + images * ROW.size) // page) * page


def file_head(placed: list[Placed], page: int, table_at: int) -> bytes:
    """Everything up to the end of the rows."""
    parts = [HEADER.pack(VERSION, len(FIELDS), page, len(placed), table_at)]
    parts += [FIELD.pack(kind, name, b"") for kind, name in FIELDS]
    parts += [ROW.pack(image.mode, image.width, image.height, image.at, image.label) for image in placed]
    return b"".join(parts)


def sample_table(placed: Iterable[Placed]) -> bytes:
    """The table of where each image is, which ends the file."""
    return b"".join(PLACE.pack(number, image.at, image.size) for number, image in enumerate(placed))


def read_header(path: Path) -> tuple[Header, str | None]:
    """The header of a file, and what is wrong with it, if anything is: FFCV itself also opens half-written files."""
    size = os.path.getsize(path)
    with path.open("rb") as file:
        start = file.read(rows_at())
    if len(start) < rows_at():
        return Header(0, 0, 0, 0, 0), f"it ends after {size:,} bytes"
    header = Header(*HEADER.unpack_from(start))
    return header, _fault(header, start, size)


def _fault(header: Header, start: bytes, size: int) -> str | None:
    if header.version != VERSION:
        return f"it is not an FFCV file of format {VERSION}"
    fields = [FIELD.unpack_from(start, HEADER.size + number * FIELD.size)[:2] for number in range(len(FIELDS))]
    if header.fields != len(FIELDS) or [(kind, name.rstrip(b"\0")) for kind, name in fields] != list(FIELDS):
        return "it does not hold the two fields image (RGBImageField) and label (IntField)"
    page = header.page_bytes
    if page < 1 or page & (page - 1):
        return f"its page size of {page} bytes is not a power of two"
    if header.table_at < rows_at() + header.images * ROW.size:
        return "it was not written to its end"
    expected = header.table_at + header.images * PLACE.size
    if size != expected:
        return f"it has {size:,} bytes, its header says {expected:,}"
    return None if header.images else "it holds no images"


def labels(path: Path, header: Header) -> Iterator[int]:
    """Class numbers of the images of a file."""
    with path.open("rb") as file:
        file.seek(rows_at())
        for row in ROW.iter_unpack(file.read(header.images * ROW.size)):
            yield row[4]
