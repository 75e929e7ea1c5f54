"""What an unfinished FFCV file holds, so that an interrupted conversion continues: JSON lines beside it.

The first line says how the file is laid out, each further line what a page holds. An image is identified by a hash of
its name, size and modification time: images may be added, removed or repaired in between.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from isal.isal_zlib import crc32

from resnet_exp.core import files
from resnet_exp.core.records import MOST, REFUSED, Check, Count, Whole, from_json, is_text
from resnet_exp.data.ffcv.layout import pages_at
from resnet_exp.data.ffcv.page_worker import Page, Row
from resnet_exp.data.images.image_tree import ImageFile

SCHEMA = 1
# Largest values of `Row`, of which mode, width and height have one and two bytes in the file.
LARGEST = (2**8 - 1, 2**16 - 1, 2**16 - 1, MOST, MOST)


def _rows(value: Any) -> Any:
    def is_row(row: Any) -> bool:
        if not isinstance(row, list) or len(row) != 1 + len(LARGEST) or not is_text(row[0]):
            return False
        return all(type(number) is int and 0 <= number <= most for number, most in zip(row[1:], LARGEST, strict=True))

    return value if isinstance(value, list) and all(map(is_row, value)) else REFUSED


Rows = Annotated[list[tuple[str, int, int, int, int, int]], Check("a list of rows", _rows)]


@dataclass(frozen=True)
class Layout:
    """Where pages are, and the settings that their images are written with."""

    page_bytes: Count
    pages_at: Whole
    settings: dict[str, object]

    @staticmethod
    def of(images: int, content: Mapping[str, object], page: int) -> Layout:
        """The layout of a new file; `content` are the settings that it is written with, `page` bytes are a page."""
        return Layout(page, pages_at(images, page), dict(content))


@dataclass(frozen=True)
class Head:
    """The first line."""

    schema: int
    layout: Layout


@dataclass(frozen=True)
class Line:
    """A further line: a page, and of each image in it the hash, then as `Row` has it."""

    number: Whole
    checksum: Whole
    rows: Rows


class Journal:
    """The pages of an unfinished file; `pages` are the intact ones, by number."""

    def __init__(self, unfinished: Path, sources: list[ImageFile], content: Mapping[str, object], page: int) -> None:
        """Read what an earlier try left of `unfinished`, in pages of `page` bytes; `open` begins to write."""
        self.path = unfinished.with_name(f"{unfinished.name}.journal")
        self.unfinished = unfinished
        self.keys = [source.key for source in sources]
        self.layout = Layout.of(len(sources), content, page)
        self.pages = {
            page.number: page for page in self._earlier(dict(zip(self.keys, range(len(sources)), strict=True)))
        }

    def _earlier(self, numbers: dict[str, int]) -> Iterator[Page]:
        if not self.unfinished.exists():
            return
        lines = files.whole_lines(self.path)
        # Up to the first that is none.
        with contextlib.suppress(ValueError):
            head = from_json(Head, next(lines, None))
            if head.schema != SCHEMA or not self._fits(head.layout):
                return
            self.layout = head.layout
            for line in (from_json(Line, each) for each in lines):
                rows = [Row(numbers[key], *row) for key, *row in line.rows if key in numbers]
                if rows:
                    yield Page(line.number, line.checksum, rows)

    def _fits(self, earlier: Layout) -> bool:
        """Whether what was written with an earlier layout can stay: at most it has room for more images."""
        ours = self.layout
        return replace(earlier, pages_at=ours.pages_at) == ours and earlier.pages_at >= ours.pages_at

    def check(self, tell: Callable[[int, int], None]) -> None:
        """Drop the pages that the file does not hold as they were written: a crash of the machine may have lost them.

        `tell` takes how many pages of how many have been checked.
        """
        if not self.pages:
            return
        pages = list(self.pages.values())
        with self.unfinished.open("rb") as file:
            for looked, page in enumerate(pages, start=1):
                file.seek(self.layout.pages_at + page.number * self.layout.page_bytes)
                content = file.read(self.layout.page_bytes)
                if len(content) < self.layout.page_bytes or crc32(content) != page.checksum:
                    del self.pages[page.number]
                tell(looked, len(pages))

    def open(self) -> None:
        """Begin to write: first the intact pages, then those that are added."""
        head = asdict(Head(SCHEMA, self.layout))
        files.write_lines(self.path, [head, *(vars(self._line(page)) for page in self.pages.values())])
        self._file = self.path.open("a")
        with self.unfinished.open("ab"):
            pass

    def add(self, page: Page) -> None:
        """Note a page that is in the file."""
        self.pages[page.number] = page
        self._file.write(json.dumps(vars(self._line(page))) + "\n")
        self._file.flush()

    def _line(self, page: Page) -> Line:
        rows = [(self.keys[row.number], row.mode, row.width, row.height, row.offset, row.size) for row in page.rows]
        return Line(page.number, page.checksum, rows)

    def close(self) -> None:
        """Stop writing."""
        with contextlib.suppress(OSError):
            self._file.close()

    def free_numbers(self) -> Iterator[int]:
        """Numbers of pages that hold nothing yet, from the lowest."""
        taken = set(self.pages)
        number = 0
        while True:
            if number not in taken:
                yield number
            number += 1

    @property
    def images(self) -> set[int]:
        """Numbers of the images that are in the file."""
        return {row.number for page in self.pages.values() for row in page.rows}

    @property
    def bytes_on_disk(self) -> int:
        """Bytes that the unfinished file takes already."""
        try:
            return os.stat(self.unfinished).st_blocks * 512
        except FileNotFoundError:
            return 0
