"""Files of an object store, or of anything else that fsspec reaches: ``s3://bucket/folder``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import one_line

# For an index or a manifest; s3fs itself would try for seven minutes if the store does not respond.
PATIENCE_SECONDS = 60
# For a large file, of which nothing arrives any more: s3fs would ask again for more than ten minutes.
STALL_SECONDS = 300
# Of a part of a file, so much is asked for at a time: it arrives within those seconds if the store is of any use.
PIECE_BYTES = 2**26
# Errors of botocore, by name: it is installed only with s3fs.
HOPELESS = ("NoCredentialsError", "ParamValidationError")
# What S3 says where an object must not be there yet, and is.
EXISTS = "At least one of the pre-conditions"
# Schemes of fsspec for places on this machine.
HERE = ("file", "local", "memory")
S3, S3_FIX = ("s3:", "s3a:"), "pip install 'resnet_exp[streaming]'"

# What stores call that which changes with the content of a file: S3, Hugging Face, Google, Azure, the rest.
VERSIONS = ("ETag", "blob_id", "md5Hash", "etag", "LastModified", "mtime")

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class RemoteFile:
    """A file of a store: its bytes, and a text that changes with its content; empty if the store has none."""

    bytes: int
    version: str


@dataclass(frozen=True)
class Remote:
    """A folder of an object store.

    Attributes:
        url: where it is.
        options: for fsspec's file system, such as ``anon: true`` for a public bucket.
        setting: key of the configuration that names it.
        options_setting: key of the options; empty if they cannot be set.
    """

    url: str
    options: dict[str, object] = field(default_factory=dict[str, object])
    setting: str = "data.loader.remote"
    options_setting: str = "data.loader.storage_options"

    def read(self, name: str) -> bytes | None:
        """Content of a small file; None if there is none.

        Raises:
            RequestError: the URL or an option is wrong, or there is no right to read.
            RunFailed: it cannot be read now.
        """
        system, root = self._open()
        console.status(f"reading {self.url}/{name}")
        try:
            return _answer(lambda: system.cat_file(f"{root}/{name}"))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._error(name, "read", error) from error

    def get(self, name: str, to: Path) -> None:
        """Copy a file here; raises `RunFailed` if it cannot be."""
        system, root = self._open()
        # What is left of an earlier try would hide that this one goes on.
        to.unlink(missing_ok=True)
        try:
            _answer(lambda: system.get_file(f"{root}/{name}", str(to)), to, STALL_SECONDS)
        except Exception as error:
            raise RunFailed(self._fault(name, "read", error)) from error

    def read_part(self, name: str, start: int, end: int) -> bytes:
        """The bytes of a file from `start` to before `end`; raises `RunFailed` if they cannot be had."""
        system, root = self._open()

        def read(piece: int) -> bytes:
            last = min(piece + PIECE_BYTES, end)
            if system.async_impl:
                return system.cat_file(f"{root}/{name}", start=piece, end=last)
            # The others' `cat_file` reads ahead: megabytes for each part.
            with system.open(f"{root}/{name}", "rb", cache_type="none") as file:
                file.seek(piece)
                return file.read(last - piece)

        try:
            pieces = range(start, end, PIECE_BYTES)
            return b"".join(_answer(partial(read, piece), patience=STALL_SECONDS) for piece in pieces)
        except Exception as error:
            raise RunFailed(self._fault(name, "read", error)) from error

    def put(self, name: str, content: Path) -> None:
        """Copy a file there; raises `RunFailed` if it cannot be."""
        system, root = self._open()
        try:
            if system.protocol[0] == "file":
                system.makedirs(os.path.dirname(f"{root}/{name}"), exist_ok=True)
            system.put_file(str(content), f"{root}/{name}")
        except Exception as error:
            raise RunFailed(self._fault(name, "written", error)) from error

    def write(self, name: str, content: bytes, create: bool = False) -> bool:
        """Write a small file; False if it is to be new, and is there.

        Raises:
            RequestError: there is no right to write, or no such bucket.
            RunFailed: it cannot be written now.
        """
        system, root = self._open()
        mode = "create" if create else "overwrite"
        try:
            _answer(lambda: system.pipe_file(f"{root}/{name}", content, mode=mode))
        except Exception as error:
            if create and (isinstance(error, FileExistsError) or EXISTS in str(error)):
                return False
            raise self._error(name, "written", error) from error
        return True

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; raises `RunFailed` if that fails."""
        system, root = self._open()
        for name in names:
            try:
                system.rm_file(f"{root}/{name}")
            except FileNotFoundError:
                continue
            except Exception as error:
                raise RunFailed(self._fault(name, "removed", error)) from error

    def changed(self, name: str) -> datetime | None:
        """When a file was last written, by the clock of the store; None if there is none. Raises as `read` does."""
        system, root = self._open()
        try:
            return _answer(lambda: system.modified(f"{root}/{name}"))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._error(name, "read", error) from error

    def sizes(self, folder: str) -> dict[str, int]:
        """Bytes of the files in a folder, by name. Raises as `read` does."""
        return {name: file.bytes for name, file in self.files(folder).items()}

    def files(self, folder: str) -> dict[str, RemoteFile]:
        """The files in a folder, by name. Raises as `read` does."""
        return {name: file for name, file in self._listed(folder).items() if file is not None}

    def folders(self) -> list[str]:
        """Names of the folders in it. Raises as `read` does."""
        return sorted(name for name, file in self._listed("").items() if file is None)

    def _listed(self, folder: str) -> dict[str, RemoteFile | None]:
        """What is in a folder: files, None of folders; empty if there is no such folder."""
        system, root = self._open()
        place = f"{root}/{folder}".rstrip("/")
        try:
            found = _answer(lambda: system.ls(place, detail=True, refresh=True))
        except FileNotFoundError:
            return {}
        except Exception as error:
            raise self._error(folder, "read", error) from error
        entries = {entry["name"].rstrip("/"): entry for entry in found}
        return {
            name.rpartition("/")[2]: None if entry["type"] == "directory" else _remote_file(entry)
            for name, entry in entries.items()
            if name != place
        }

    def _open(self) -> tuple[Any, str]:
        # Imported late: most runs do not need it.
        from fsspec.core import url_to_fs

        try:
            # What another machine has written since a folder was listed would not be there.
            system, root = url_to_fs(self.url, **{"use_listings_cache": False, **self.options})
        except ImportError as error:
            fix = S3_FIX if self.url.startswith(S3) else one_line(error)
            raise RequestError(f"{self.setting}={self.url} needs a package that is not installed; {fix}") from error
        except Exception as error:
            check = f"check it and {self.options_setting}" if self.options_setting else "check it"
            raise RequestError(f"{self.setting}={self.url}: {one_line(error)}; {check}") from error
        return system, root.rstrip("/")

    def _error(self, name: str, done: str, error: Exception) -> RequestError | RunFailed:
        """What to raise before anything has started: whether trying again can help."""
        hopeless = isinstance(error, PermissionError | FileNotFoundError | TypeError | ValueError)
        refused = hopeless or type(error).__name__ in HOPELESS
        return (RequestError if refused else RunFailed)(self._fault(name, done, error))

    def _fault(self, name: str, done: str, error: Exception) -> str:
        said = str(error) or (os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "")
        reason = f"{type(error).__name__}: {one_line(said)}" if said else type(error).__name__
        settings = ", ".join(filter(None, (self.setting, self.options_setting)))
        place = f"{self.url}/{name}".rstrip("/")
        return f"{place} cannot be {done} ({reason}); check {settings} and your credentials"


def _remote_file(entry: Any) -> RemoteFile:
    return RemoteFile(entry["size"], next((str(entry[name]) for name in VERSIONS if entry.get(name)), ""))


def _answer(ask: Callable[[], Answer], growing: Path | None = None, patience: float | None = None) -> Answer:
    """What the store says; `growing` is the file that it writes, `patience` is `PATIENCE_SECONDS` if it is not given.

    Raises:
        TimeoutError: there is no answer for so long, and that file has stopped to grow.
    """
    patience = PATIENCE_SECONDS if patience is None else patience
    answer: Future[Answer] = Future()

    def wait() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:
            answer.set_exception(error)

    # Not a thread of a pool: Python would wait for it at exit.
    asking = Thread(target=wait, daemon=True)
    asking.start()
    there = -1
    while not answer.done() and (size := _size(growing)) > there:
        there = size
        asking.join(patience)
    if not answer.done():
        raise TimeoutError(f"no answer within {patience:g} s")
    return answer.result()


def _size(path: Path | None) -> int:
    try:
        return 0 if path is None else path.stat().st_size
    except FileNotFoundError:
        return 0


def is_store(url: str) -> bool:
    """Whether a URL names a folder of an object store, and not one of this machine."""
    scheme, _, folder = url.partition("://")
    return bool(folder.strip("/")) and scheme not in HERE


def is_url(place: str) -> bool:
    """Whether a place is reached by fsspec rather than by the file system."""
    return "://" in place
