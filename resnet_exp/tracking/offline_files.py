"""Finished runs in the files that W&B's client writes on disk, online and offline: ``run-ID.wandb``.

wandb 0.31 has no reader of its own for Python; `wandb sync` and `wandb leet` have one inside. The format: a header of
seven bytes, then LevelDB's log format (github.com/google/leveldb, doc/log_format.md), with plain CRC-32 for its masked
CRC-32C; each entry is a ``Record`` of the client's own protocol buffers.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resnet_exp.core.files import read_bytes

PATTERN = "*run-*/run-*.wandb"
HEADER = b":W&B\xe1\xbe\x00"
BLOCK = 2**15
PREFIX = struct.Struct("<IHB")  # checksum, length, type
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
WANTED = ("result", "evaluations")


def find(folder: Path) -> list[Path]:
    """The files of a ``wandb`` folder, or of the folder of one run in it."""
    return sorted({*folder.glob(PATTERN), *folder.glob(PATTERN.partition("/")[2])})


def summary(path: Path) -> dict[str, Any]:
    """Last values of the summary keys ``result`` and ``evaluations``; empty for a run that has not ended.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, or none of W&B's.
    """
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record  # pyright: ignore[reportAttributeAccessIssue]

    found: dict[str, Any] = {}
    for entry in _entries(read_bytes(path)):
        record = Record()
        try:
            record.ParseFromString(entry)
        except DecodeError as error:
            raise ValueError(f"it is damaged ({error})") from error
        for item in record.summary.update:
            key = item.key or item.nested_key[0]
            if key in WANTED:
                found[key] = json.loads(item.value_json)
    return found


def _entries(content: bytes) -> Iterator[bytes]:
    """The entries of a log; one at its end that is still being written is left out."""
    if not content.startswith(HEADER):
        raise ValueError("it is no file of W&B's client")
    entry, at = b"", len(HEADER)
    while at + PREFIX.size <= len(content):
        room = BLOCK - at % BLOCK
        if room < PREFIX.size:
            at += room
            continue
        checksum, length, kind = PREFIX.unpack_from(content, at)
        part = content[at + PREFIX.size : at + PREFIX.size + length]
        if len(part) < length:
            return
        if kind not in (FULL, FIRST, MIDDLE, LAST) or checksum != zlib.crc32(part, zlib.crc32(bytes([kind]))):
            raise ValueError(f"it is damaged at byte {at:,}")
        entry = part if kind in (FULL, FIRST) else entry + part
        if kind in (FULL, LAST):
            yield entry
        at += PREFIX.size + length
