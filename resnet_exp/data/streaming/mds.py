"""MDS, the shard format of mosaicml-streaming 0.13 (``streaming/base/format/mds``), version 2: shards and their index.

A shard has the number of samples, the offset of each sample and of the end (all uint32), the columns as JSON, and the
samples. A sample has the size of each column whose size is not fixed (uint32), then all columns.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.files import read_json, write_json
from resnet_exp.core.records import from_json
from resnet_exp.core.terminal.text import printable

VERSION = 2
INDEX = "index.json"
# The columns of mosaicml-streaming's ``StreamingImageClassification``.
IMAGE, LABEL = "x", "y"
HASH = "blake2b"
Of = TypeVar("Of")
# Offsets have 32 bits.
MOST_BYTES = 2**32 - 1
# Encodings that hold a JPEG unchanged, and those of whole numbers with numpy's names for them.
JPEGS = ("jpeg", "bytes")
SIZES = (8, 16, 32, 64)
NUMBERS = {"int": "<i8", **{f"{sign}int{bits}": f"<{sign or 'i'}{bits // 8}" for sign in ("", "u") for bits in SIZES}}


@dataclass(frozen=True, kw_only=True)
class ShardHead:
    """What the head of a shard says; the field names are MDS's own."""

    column_encodings: list[str]
    column_names: list[str]
    column_sizes: list[int | None]
    compression: str | None
    format: str
    hashes: tuple[str, ...] = ()
    size_limit: int | None = None
    version: int

    @property
    def columns(self) -> tuple[list[str], list[str], list[int | None]]:
        """Names, encodings and sizes of the columns."""
        return self.column_names, self.column_encodings, self.column_sizes


@dataclass(frozen=True)
class ShardFile:
    """The file of a shard; `hashes` by the name of the algorithm."""

    basename: str
    bytes: int
    hashes: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class ShardEntry(ShardHead):
    """An entry of an index: what the head of a shard says, its file, and its number of samples."""

    raw_data: ShardFile
    samples: int
    zip_data: dict[str, object] | None = None

    @property
    def shard(self) -> Shard:
        """What a reader wants to know of it."""
        return Shard(self.raw_data.basename, self.raw_data.bytes, self.samples, self.raw_data.hashes)


# Of the shards that are written here.
HEAD = ShardHead(
    column_encodings=["jpeg", "int"],
    column_names=[IMAGE, LABEL],
    column_sizes=[None, 8],
    compression=None,
    format="mds",
    hashes=(HASH,),
    version=VERSION,
)


@dataclass(frozen=True)
class Shard:
    """What the index says of a shard; `hashes` by the name of the algorithm."""

    name: str
    bytes: int
    samples: int
    hashes: dict[str, str]


@dataclass(frozen=True)
class Column:
    """Where a column is in a sample.

    Attributes:
        encoding: of its content.
        fixed_before: bytes of the columns of fixed size before it.
        sized_before: number of the columns without a fixed size before it.
        size: its own in bytes; None if it is not fixed.
    """

    encoding: str
    fixed_before: int
    sized_before: int
    size: int | None


@dataclass(frozen=True)
class Index:
    """The shards of a folder; all have the same columns, `sized` of them without a fixed size."""

    shards: list[Shard]
    image: Column
    label: Column
    sized: int

    def of(self, shards: list[Shard]) -> Index:
        """An index of some of the shards."""
        return replace(self, shards=shards)

    @property
    def starts(self) -> list[int]:
        """Number of the first sample of each shard, and of all samples."""
        return list(accumulate((shard.samples for shard in self.shards), initial=0))

    @property
    def bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.bytes for shard in self.shards)


def read_index(path: Path, image: str, label: str) -> Index:
    """The index of a folder; `image` and `label` name the columns.

    Raises:
        RequestError: there is none, or its shards cannot be read.
    """
    return _parsed(path, lambda entries: _index(entries, image, label))


def read_shards(path: Path) -> list[Shard]:
    """The shards that an index names, whatever is in them; raises `RequestError` if it cannot be read."""
    return _parsed(path, lambda entries: [_shard(entry) for entry in entries])


def _parsed(path: Path, parse: Callable[[list[ShardEntry]], Of]) -> Of:
    try:
        content = read_json(path)
        if content is None:
            raise _Unreadable("it does not exist")
        if not content["shards"]:
            raise _Unreadable("it names no shards")
        return parse([from_json(ShardEntry, entry) for entry in content["shards"]])
    except _Unreadable as error:
        raise RequestError(f"{printable(path)} cannot be used: {error}") from None
    except (RequestError, KeyError, TypeError, ValueError) as error:
        raise RequestError(f"{printable(path)} is not an index of MDS shards; name another folder") from error


class _Unreadable(Exception):
    """Why shards cannot be read; ends a message."""


def _index(entries: list[ShardEntry], image: str, label: str) -> Index:
    names, encodings, sizes = columns = entries[0].columns
    for entry in entries:
        if (entry.format, entry.version) != ("mds", VERSION):
            raise _Unreadable(f"format {entry.format} {entry.version} cannot be read, only mds {VERSION}")
        if entry.compression is not None:
            raise _Unreadable(f"compression={entry.compression} cannot be read; write the shards without")
        if entry.columns != columns:
            raise _Unreadable("its shards have different columns")
    found: dict[str, Column] = {}
    for key, name, allowed in (("image", image, JPEGS), ("label", label, tuple(NUMBERS))):
        if name not in names:
            raise _Unreadable(f"data.loader.{key}_column={name} is not in it; it has {', '.join(names)}")
        number = names.index(name)
        if encodings[number] not in allowed:
            raise _Unreadable(
                f"data.loader.{key}_column={name} holds {encodings[number]}; what can be read is {', '.join(allowed)}"
            )
        before = sizes[:number]
        fixed, sized = sum(size or 0 for size in before), sum(size is None for size in before)
        found[key] = Column(encodings[number], fixed, sized, sizes[number])
    shards = [_shard(entry) for entry in entries]
    return Index(shards, found["image"], found["label"], sum(size is None for size in sizes))


def _shard(entry: ShardEntry) -> Shard:
    name = entry.raw_data.basename
    if os.path.isabs(name) or ".." in Path(name).parts:
        raise _Unreadable(f"shard {name} is outside the folder")
    return entry.shard


def shard_bytes(samples: Sequence[tuple[bytes, int]]) -> bytes:
    """A shard of JPEGs and their class numbers.

    Raises:
        RunFailed: it would be too large.
    """
    columns = json.dumps(asdict(HEAD), sort_keys=True).encode()
    encoded = [
        len(jpeg).to_bytes(4, "little") + jpeg + label.to_bytes(8, "little", signed=True) for jpeg, label in samples
    ]
    sizes = [len(sample) for sample in encoded]
    offsets = list(accumulate(sizes, initial=4 + 4 * (len(samples) + 1) + len(columns)))
    if offsets[-1] > MOST_BYTES:
        raise RunFailed(
            f"{len(samples)} images make a shard of {offsets[-1]:,} bytes; use a smaller data.loader.images_per_shard"
        )
    return b"".join([struct.pack(f"<{len(samples) + 2}I", len(samples), *offsets), columns, *encoded])


def entry_of(name: str, content: bytes, samples: int) -> ShardEntry:
    """What the index says of a shard."""
    hashes = {HASH: hashlib.new(HASH, content).hexdigest()}
    return ShardEntry(**vars(HEAD), raw_data=ShardFile(name, len(content), hashes), samples=samples)


def write_index(folder: Path, entries: Iterable[ShardEntry]) -> None:
    """Write the index of a folder."""
    write_json(folder / INDEX, {"version": VERSION, "shards": [asdict(entry) for entry in entries]})


def fault(path: Path, shard: Shard) -> str | None:
    """What is wrong with a shard's file, to end a message; None if it is what the index says."""
    try:
        size = os.path.getsize(path)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if size != shard.bytes:
        return f"has {size:,} bytes, its index says {shard.bytes:,}"
    for name, wanted in shard.hashes.items():
        if name in hashlib.algorithms_available:
            with path.open("rb") as content:
                digest = hashlib.new(name)
                while part := content.read(2**20):
                    digest.update(part)
            return None if digest.hexdigest() == wanted else "is damaged: its bytes are not what was written"
    return None
