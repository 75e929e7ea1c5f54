"""The Parquet files of a data set on this machine: in their own folder, or copied from a store part by part.

The copy of a file has its size from the beginning, and is empty where nothing has been fetched yet. Beside it,
``NAME.fetched`` has a byte for each part that is there: first what is read when a run starts, then the row groups.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.files import writing
from resnet_exp.core.locks import held_lock, open_lock
from resnet_exp.core.object_store import Remote, is_url
from resnet_exp.core.terminal.text import printable
from resnet_exp.data.parquet import names

# Folder of the copies, below ``data.cache_dir``.
CACHE = "parquet"
# A part that arrives incomplete is asked for again.
TRIES = 3
# The part of a file that says what is in it; row group N is part N + 1.
CONTENTS = 0
Range = tuple[int, int]


@dataclass(frozen=True)
class DataFile:
    """A Parquet file: its name below ``dataset.dir``, bytes, and a text that changes with its content."""

    name: str
    bytes: int
    version: str


@dataclass(frozen=True)
class Storage:
    """The files below ``dataset.dir``; `remote` is None if that is a folder. Copies go below `folder`."""

    root: str
    folder: Path
    remote: Remote | None

    @classmethod
    def of(cls, root: str, cache_dir: str, options: dict[str, object], columns: tuple[str, str]) -> Storage:
        """The storage of a folder or URL.

        Args:
            root: the folder or URL.
            cache_dir: below which copies go.
            options: of fsspec.
            columns: names of those that are read: a copy has no others.

        Raises:
            RequestError: there is none.
        """
        if not root:
            raise RequestError(f"dataset.dir is not set; use dataset.dir=PATH, a folder or a URL ({names.LAYOUT})")
        if not is_url(root):
            return cls(root, Path(root), None)
        url = root.rstrip("/")
        name = f"{url.rpartition('/')[2]}-{hashlib.sha256(json.dumps([url, *columns]).encode()).hexdigest()[:8]}"
        return cls(url, Path(cache_dir) / CACHE / name, _remote(url, options))

    def listed(self) -> list[DataFile]:
        """All Parquet files in it, and in its folders that are called as splits.

        Raises:
            RequestError: it does not exist, or there is no right to read it.
            RunFailed: the store does not answer.
        """
        if self.remote is None:
            return self._listed_here()
        return list(_listed_at(self.remote.url, json.dumps(self.remote.options)))

    def _listed_here(self) -> list[DataFile]:
        if not self.folder.is_dir():
            raise RequestError(f"dataset.dir={self.root} is not a folder; {names.LAYOUT}")
        try:
            paths = sorted(self.folder.glob(f"*{names.SUFFIX}"))
            if not paths:
                paths = [
                    path for name in names.folders() for path in sorted(self.folder.glob(f"{name}/*{names.SUFFIX}"))
                ]
            # A hidden file is one that another program has not finished.
            kept = [path for path in paths if path.is_file() and not path.name.startswith(".")]
            return [
                DataFile(str(path.relative_to(self.folder)), path.stat().st_size, str(path.stat().st_mtime_ns))
                for path in kept
            ]
        except OSError as error:
            raise RequestError(
                f"dataset.dir={self.root} cannot be read ({error.strerror}); give the right to"
            ) from error

    def path(self, file: DataFile) -> Path:
        """Where a file is on this machine, or will be."""
        if self.remote is None:
            return self.folder / file.name
        version = hashlib.sha256(f"{file.bytes} {file.version}".encode()).hexdigest()[:8]
        return self.folder / f"{file.name.removesuffix(names.SUFFIX)}.{version}{names.SUFFIX}"

    def has(self, file: DataFile, part: int) -> bool:
        """Whether a part of a file is on this machine."""
        if self.remote is None:
            return True
        path = self.path(file)
        with contextlib.suppress(OSError), _noted(path).open("rb") as noted:
            return os.path.getsize(path) == file.bytes and os.pread(noted.fileno(), 1, part) == b"\1"
        return False

    def ensure(self, file: DataFile, part: int, ranges: Sequence[Range]) -> None:
        """Make sure that a part of a file is on this machine; each part is fetched once per node.

        Args:
            file: of `listed`.
            part: its number.
            ranges: first byte, and the byte after the last one, of each piece of the part.

        Raises:
            RequestError: the folder of the copies cannot be written.
            RunFailed: the part cannot be fetched or written.
        """
        if self.has(file, part):
            return
        path = self.path(file)
        lock = path.with_name(f".{path.name}.{part}.lock")
        with writing(f"data.cache_dir={self.folder.parent.parent}"):
            opened = open_lock(lock)
        try:
            with held_lock(opened):
                if not self.has(file, part):
                    self._copy(file, part, ranges)
                lock.unlink(missing_ok=True)
        except OSError as error:
            raise RunFailed(f"{printable(path)} cannot be written ({error.strerror}); free some space") from error

    def _copy(self, file: DataFile, part: int, ranges: Sequence[Range]) -> None:
        path = self.path(file)
        with _open(path) as copy:
            copy.truncate(file.bytes)
            for start, end in ranges:
                os.pwrite(copy.fileno(), self.read(file, start, end), start)
            os.fsync(copy.fileno())
        with _open(_noted(path)) as noted:
            os.pwrite(noted.fileno(), b"\1", part)

    def read(self, file: DataFile, start: int, end: int) -> bytes:
        """Bytes of a file in the store; raises `RunFailed` if they cannot be had."""
        assert self.remote is not None
        content = b""
        for _ in range(TRIES):
            content = self.remote.read_part(file.name, start, end)
            if len(content) == end - start:
                return content
        raise RunFailed(
            f"{self.remote.url}/{file.name} gives {len(content):,} bytes from {start:,} on, not {end - start:,}; "
            "check the file"
        )

    def remove_superseded(self, file: DataFile) -> None:
        """Remove copies of a file that has another content by now."""
        if self.remote is not None:
            path = self.path(file)
            stem = path.name.removesuffix(names.SUFFIX).rpartition(".")[0]
            for other in path.parent.glob(f"{glob.escape(stem)}.????????{names.SUFFIX}*"):
                if not other.name.startswith(path.name):
                    other.unlink(missing_ok=True)


@lru_cache
def _listed_at(url: str, options: str) -> tuple[DataFile, ...]:
    """The Parquet files of a store, which a process asks once for them."""
    remote = _remote(url, json.loads(options))
    found = {name: file for name, file in remote.files("").items() if name.endswith(names.SUFFIX)}
    if not found:
        for folder in sorted(set(remote.folders()).intersection(names.folders())):
            found |= {f"{folder}/{name}": file for name, file in remote.files(folder).items()}
    kept = ((name, found[name]) for name in sorted(found) if name.endswith(names.SUFFIX))
    return tuple(DataFile(name, file.bytes, file.version) for name, file in kept)


def _remote(url: str, options: dict[str, object]) -> Remote:
    return Remote(url, options, "dataset.dir", "data.loader.storage_options")


def _open(path: Path) -> BinaryIO:
    """A file to write to in places; it is made if it is not there."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b")


def _noted(path: Path) -> Path:
    return path.with_name(f"{path.name}.fetched")
