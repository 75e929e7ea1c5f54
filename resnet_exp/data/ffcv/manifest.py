"""The manifest beside an FFCV file: what all manifests have, and checksums of every block.

A block is what is before the first page, each page, and what is after the last one.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from isal.isal_zlib import crc32

from resnet_exp.core.terminal.text import printable
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.manifest import FIX, SCHEMA, Content, Manifest, ManifestMismatch
from resnet_exp.data.ffcv import layout

# Pages that are checked when a run starts.
SAMPLED_PAGES = 4


@dataclass(frozen=True)
class FFCVManifest(Manifest):
    """What the manifest of an FFCV file says; sizes in bytes, `pages_at` is the first page's place."""

    title: ClassVar[str] = "FFCV file"
    file_bytes: int
    page_bytes: int
    pages_at: int
    head: int
    pages: list[int]
    tail: int

    def blocks(self) -> Iterator[tuple[int, int, int]]:
        """Place, size and checksum of every block."""
        yield 0, self.pages_at, self.head
        for number, checksum in enumerate(self.pages):
            yield self.pages_at + number * self.page_bytes, self.page_bytes, checksum
        end = self.pages_at + len(self.pages) * self.page_bytes
        yield end, self.file_bytes - end, self.tail


def describe(head: bytes, pages: list[int], table: bytes, page_bytes: int, content: Content) -> FFCVManifest:
    """The manifest of a file of these blocks: what is before its pages, their checksums, and what is after them."""
    return FFCVManifest(
        schema=SCHEMA,
        format="ffcv",
        format_version=layout.VERSION,
        file_bytes=len(head) + len(pages) * page_bytes + len(table),
        page_bytes=page_bytes,
        pages_at=len(head),
        images=sum(content.class_images),
        checksum="crc32",
        head=crc32(head),
        pages=pages,
        tail=crc32(table),
        **vars(content),
    )


def read_manifest(file: Path) -> FFCVManifest | None:
    """The manifest of a file; None if it has none; raises `ManifestMismatch` if it cannot be used."""
    return manifests.read_manifest(file, FFCVManifest)


def check_quickly(file: Path, manifest: FFCVManifest, fix: str) -> None:
    """Check size, header, rows, table and some pages of a file: a fraction of a second.

    Raises:
        ManifestMismatch: names the block.
    """
    _check_size(file, manifest, fix)
    blocks = list(manifest.blocks())
    pages = blocks[1:-1]
    chosen = [blocks[0], *random.sample(pages, min(SAMPLED_PAGES, len(pages))), blocks[-1]]
    with file.open("rb") as content:
        for at, length, checksum in chosen:
            content.seek(at)
            if crc32(content.read(length)) != checksum:
                raise ManifestMismatch(_damaged(file, [(at, length)], fix))


def _check_size(file: Path, manifest: FFCVManifest, fix: str) -> None:
    size = os.path.getsize(file)
    if size != manifest.file_bytes:
        raise ManifestMismatch(
            f"FFCV file {printable(file)} has {size:,} bytes, its manifest says {manifest.file_bytes:,}; {fix}"
        )


def check_fully(file: Path, manifest: FFCVManifest, tell: Callable[[int], None]) -> None:
    """Check every byte of a file; `tell` takes how many bytes of it have been read.

    Raises:
        ManifestMismatch: names the blocks.
    """
    _check_size(file, manifest, FIX)
    damaged = []
    with file.open("rb") as content:
        for at, length, checksum in manifest.blocks():
            content.seek(at)
            if crc32(content.read(length)) != checksum:
                damaged.append((at, length))
            tell(at + length)
    if damaged:
        raise ManifestMismatch(_damaged(file, damaged, FIX))


def _damaged(file: Path, blocks: list[tuple[int, int]], fix: str) -> str:
    places = ", ".join(f"bytes {at:,} to {at + length - 1:,}" for at, length in blocks[:3])
    more = f" and {len(blocks) - 3} more places" if len(blocks) > 3 else ""
    return f"FFCV file {printable(file)} is damaged: {places}{more} are not what was written; {fix}"


def check_header(file: Path, classes: int | None) -> layout.Header:
    """Check what can be checked of a file without a manifest: header, size, class numbers below `classes`.

    Raises:
        ManifestMismatch: says what is wrong.
    """
    try:
        header, fault = layout.read_header(file)
    except OSError as error:
        raise ManifestMismatch(
            f"FFCV file {printable(file)} cannot be read ({error.strerror}); name another one"
        ) from error
    if fault is not None:
        raise ManifestMismatch(
            f"FFCV file {printable(file)} cannot be used: {fault}; name another one, or convert the dataset again"
        )
    highest = max(layout.labels(file, header))
    if classes is not None and highest >= classes:
        raise ManifestMismatch(
            f"FFCV file {printable(file)} has class numbers up to {highest}, dataset.num_classes={classes} has none "
            f"above {classes - 1}; name another file or set dataset.num_classes={highest + 1}"
        )
    return header
