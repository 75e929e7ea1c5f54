"""The manifest beside an FFCV file: what is in it, from what it was made, and checksums of every block. No torch.

A block is what is before the first page, each page, and what is behind the last. ``FILE.json``; keys: docs/data.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resnet_exp import rundir
from resnet_exp.data import ffcv_layout
from resnet_exp.data.sources import ABSENT, Source
from resnet_exp.errors import RequestError
from resnet_exp.tree import shown

SCHEMA = 1
# Looked at when a run starts: pages and images of the source, of all that there are.
SAMPLED_PAGES, SAMPLED_IMAGES = 4, 64
FIX = "remove it to write it again"


class Differs(RequestError):
    """A file is not the one that its manifest describes, or the manifest is none."""


@dataclass(frozen=True)
class Manifest:
    """What a manifest says; sizes in bytes, `pages_at` the first page's place, times of change in nanoseconds."""

    schema: int
    format: str
    format_version: int
    file_bytes: int
    page_bytes: int
    pages_at: int
    images: int
    classes: list[str]
    class_images: list[int]
    settings: dict[str, Any]
    source: dict[str, Any]
    skipped: list[list[str]]
    checksum: str
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


def describe(
    head: bytes,
    pages: list[int],
    table: bytes,
    page_bytes: int,
    settings: dict[str, Any],
    classes: list[str],
    class_images: list[int],
    source: dict[str, Any],
    skipped: list[list[str]],
) -> Manifest:
    """The manifest of a file of these blocks: what is before its pages, their checksums, and what is behind them."""
    return Manifest(
        schema=SCHEMA,
        format="ffcv",
        format_version=ffcv_layout.VERSION,
        file_bytes=len(head) + len(pages) * page_bytes + len(table),
        page_bytes=page_bytes,
        pages_at=len(head),
        images=sum(class_images),
        classes=classes,
        class_images=class_images,
        settings=settings,
        source=source,
        skipped=skipped,
        checksum="crc32",
        head=zlib.crc32(head),
        pages=pages,
        tail=zlib.crc32(table),
    )


def path_of(file: Path) -> Path:
    """The manifest of a file."""
    return file.with_name(f"{file.name}.json")


def source_facts(folder: Path, sources: list[Source]) -> dict[str, Any]:
    """From what a file was made: a hash of names, sizes and times of all images, and some of them one by one."""
    step = max(1, len(sources) // SAMPLED_IMAGES)
    return {
        "folder": str(folder),
        "images": len(sources),
        "fingerprint": fingerprint(sources),
        "sampled": [[source.name, source.size, source.changed] for source in sources[::step]],
    }


def fingerprint(sources: list[Source]) -> str:
    """Hash of the names, sizes and times of change of all images of a split, in their order."""
    digest = hashlib.blake2b(digest_size=16)
    for source in sources:
        digest.update(source.key.encode())
    return digest.hexdigest()


def write(file: Path, manifest: Manifest) -> None:
    """Write the manifest of `file`, sealed so that damage to it is noticed."""
    content = asdict(manifest)
    rundir.write_json(path_of(file), {**content, "seal": _seal(content)})


def read(file: Path) -> Manifest | None:
    """The manifest of a file; None if it has none.

    Raises:
        Differs: there is one, and it cannot be used.
    """
    path = path_of(file)
    try:
        content = rundir.read_json(path)
    except RequestError as error:
        raise Differs(f"{shown(path)} is damaged; remove it and {shown(file)} to write both again") from error
    if content is None:
        return None
    if content.get("schema") != SCHEMA:
        raise Differs(f"{shown(path)} is of another version; remove it and {shown(file)} to write both again")
    seal = content.pop("seal", None)
    if seal != _seal(content):
        raise Differs(
            f"{shown(path)} is damaged (it is not what was sealed); remove it and {shown(file)} to write both again"
        )
    return Manifest(**content)


def _seal(content: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def check_quickly(file: Path, manifest: Manifest, fix: str) -> None:
    """Check size, header, rows, table and some pages of a file: a fraction of a second.

    Raises:
        Differs: says in which.
    """
    _check_size(file, manifest, fix)
    blocks = list(manifest.blocks())
    pages = blocks[1:-1]
    chosen = [blocks[0], *random.sample(pages, min(SAMPLED_PAGES, len(pages))), blocks[-1]]
    with file.open("rb") as content:
        for at, length, checksum in chosen:
            content.seek(at)
            if zlib.crc32(content.read(length)) != checksum:
                raise Differs(_damaged(file, [(at, length)], fix))


def _check_size(file: Path, manifest: Manifest, fix: str) -> None:
    size = os.path.getsize(file)
    if size != manifest.file_bytes:
        raise Differs(f"FFCV file {shown(file)} has {size:,} bytes, its manifest says {manifest.file_bytes:,}; {fix}")


def check_fully(file: Path, manifest: Manifest, tell: Callable[[int], None]) -> None:
    """Check every byte of a file; `tell` takes how many bytes of it have been read.

    Raises:
        Differs: names the blocks.
    """
    _check_size(file, manifest, FIX)
    damaged = []
    with file.open("rb") as content:
        for at, length, checksum in manifest.blocks():
            content.seek(at)
            if zlib.crc32(content.read(length)) != checksum:
                damaged.append((at, length))
            tell(at + length)
    if damaged:
        raise Differs(_damaged(file, damaged, FIX))


def _damaged(file: Path, blocks: list[tuple[int, int]], fix: str) -> str:
    places = ", ".join(f"bytes {at:,} to {at + length - 1:,}" for at, length in blocks[:3])
    more = f" and {len(blocks) - 3} more places" if len(blocks) > 3 else ""
    return f"FFCV file {shown(file)} is damaged: {places}{more} are not what was written; {fix}"


def check_origin(file: Path, manifest: Manifest, settings: dict[str, Any], classes: list[str]) -> None:
    """Check that a file was written with these settings from these classes, and that its images are still the same.

    Raises:
        Differs: says what differs.
    """
    for key, wanted in settings.items():
        if (found := manifest.settings.get(key)) != wanted:
            raise Differs(f"FFCV file {shown(file)} was written with {key}={found}, not {key}={wanted}; {FIX}")
    if manifest.classes != classes:
        raise Differs(f"FFCV file {shown(file)} is of another dataset: {_difference(manifest.classes, classes)}; {FIX}")
    check_source(file, manifest)


def check_classes_agree(train: tuple[Path, Manifest], val: tuple[Path, Manifest]) -> None:
    """Check that both halves of a dataset have the same classes in the same order.

    Raises:
        Differs: names a class.
    """
    if train[1].classes != val[1].classes:
        raise Differs(
            f"FFCV files {shown(train[0])} and {shown(val[0])} have different classes: "
            f"{_difference(train[1].classes, val[1].classes)}; name files of one dataset"
        )


def _difference(ours: list[str], theirs: list[str]) -> str:
    if len(ours) != len(theirs):
        return f"{len(ours)} and {len(theirs)} of them"
    number = next(number for number, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1])
    return f"number {number} is {shown(ours[number])} and {shown(theirs[number])}"


def summary(file: Path) -> dict[str, Any]:
    """What of a file belongs into the record of a run; empty without a manifest."""
    manifest = read(file)
    if manifest is None:
        return {}
    origin = manifest.source["fingerprint"]
    return {"images": manifest.images, "source": origin, "seal": _seal(asdict(manifest)), "classes": manifest.classes}


def check_source(file: Path, manifest: Manifest) -> None:
    """Check some of the images that a file was made from: none may have changed.

    Raises:
        Differs: names an image.
    """
    folder = Path(manifest.source["folder"])
    for name, size, changed in manifest.source["sampled"]:
        try:
            status = os.stat(folder / name)
        except OSError as error:
            # An image that could not be read when the file was written is in `skipped`.
            if (size, changed) == ABSENT:
                continue
            raise Differs(f"{_stale(file)} {shown(folder / name)} is gone ({error.strerror}); {FIX}") from error
        if (status.st_size, status.st_mtime_ns) != (size, changed):
            raise Differs(f"{_stale(file)} {shown(folder / name)} has changed since; {FIX}")


def check_all_sources(file: Path, manifest: Manifest, sources: list[Source]) -> None:
    """Check all images that a file was made from by their names, sizes and times of change.

    Raises:
        Differs: says how many there are.
    """
    if fingerprint(sources) != manifest.source["fingerprint"]:
        check_source(file, manifest)
        folder, then = shown(manifest.source["folder"]), manifest.source["images"]
        if len(sources) != then:
            raise Differs(
                f"{_stale(file)} {folder} had {then:,} images when it was written, now {len(sources):,}; {FIX}"
            )
        raise Differs(f"{_stale(file)} of the {then:,} images in {folder} some have another name, size or time; {FIX}")


def _stale(file: Path) -> str:
    return f"FFCV file {shown(file)} is stale:"


def check_header(file: Path, classes: int | None) -> ffcv_layout.Header:
    """Check what can be told of a file without a manifest: its header, its size, its class numbers below `classes`.

    Raises:
        Differs: says in what.
    """
    try:
        header, fault = ffcv_layout.read_header(file)
    except OSError as error:
        raise Differs(f"FFCV file {shown(file)} cannot be read ({error.strerror}); name another one") from error
    if fault is not None:
        raise Differs(
            f"FFCV file {shown(file)} cannot be used: {fault}; name another one, or convert the dataset again"
        )
    highest = max(ffcv_layout.labels(file, header))
    if classes is not None and highest >= classes:
        raise Differs(
            f"FFCV file {shown(file)} has class numbers up to {highest}, dataset.num_classes={classes} has none above "
            f"{classes - 1}; name another file or set dataset.num_classes={highest + 1}"
        )
    return header
