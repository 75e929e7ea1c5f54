"""Files written whole or not at all, JSON and JSON lines."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from resnet_exp.core.errors import RequestError

SCHEMA = 1


FULL_BYTES = 2**18


def is_full(folder: Path) -> bool:
    """Whether the disk of a folder has so little left that this explains a failure."""
    return shutil.disk_usage(folder).free < FULL_BYTES


@contextlib.contextmanager
def open_regular(path: str | Path, buffering: int = -1) -> Iterator[BinaryIO]:
    """A regular file to read; raises `OSError` for a pipe or device, which could block its reader forever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb", buffering) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        yield file


def read_bytes(path: str | Path) -> bytes:
    """The content of a regular file; raises `OSError` for a pipe or device."""
    with open_regular(path, buffering=0) as file:
        return file.read()


def parse_json(text: bytes | str) -> Any:
    """Parse JSON from anywhere; raises `ValueError` for anything else, and where it is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path) -> dict[str, Any] | None:
    """Parse a JSON object; None when the file is not there.

    Raises:
        RequestError: the file is there and holds no JSON object.
    """
    try:
        value = parse_json(read_bytes(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RequestError(f"{path} cannot be read ({error.strerror}); remove it to run again") from error
    except ValueError as error:
        raise RequestError(f"{path} is damaged ({error}); remove it to run again") from error
    if not isinstance(value, dict):
        raise RequestError(f"{path} holds no JSON object; remove it to run again")
    return value


@contextlib.contextmanager
def writing(named: str, fix: str = "") -> Iterator[None]:
    """Refuse the request in one line if the system does not let the block write.

    Args:
        named: the setting or option that says where, with its value: ``runs_dir=/data/runs``.
        fix: what the user can do; by default set another path.

    Raises:
        RequestError: the block raised an `OSError`.
    """
    try:
        yield
    except OSError as error:
        fix = fix or f"set {named.partition('=')[0]}=PATH"
        raise RequestError(f"{named} cannot be written ({error.strerror or error}); {fix}") from error


@contextlib.contextmanager
def no_empty_folders(folder: Path) -> Iterator[None]:
    """Remove at the end of the block `folder` and those above it that the block has made, as far as they are empty."""
    new = list(itertools.takewhile(lambda path: not os.path.exists(path), (folder, *folder.parents)))
    try:
        yield
    finally:
        for path in new:
            with contextlib.suppress(OSError):  # never made, or in use
                path.rmdir()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` at the end, whole; after an error there is only what was there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            yield file
        move_into_place(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def move_into_place(temporary: Path, path: Path) -> None:
    """Rename a file that was just written, once the disk has all of it: a name must not outlast its content."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: object) -> None:
    """Write JSON whole or not at all; NaN and infinity are refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def append_line(path: Path, value: object) -> None:
    """Append one JSON line in a single write."""
    with path.open("a") as file:
        file.write(json.dumps(value, allow_nan=False) + "\n")


def write_lines(path: Path, values: Iterable[object]) -> None:
    """Write a JSON-lines file whole or not at all."""
    write_text(path, "".join(json.dumps(value, allow_nan=False) + "\n" for value in values))


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a JSON-lines file; a last line that was cut off by a crash is left out."""
    if not path.exists():
        return
    for line in read_bytes(path).splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield parse_json(line)


def whole_lines(path: Path) -> Iterator[object]:
    """Yield records up to the first that is damaged, such as where the disk was full; none if there is no file."""
    with contextlib.suppress(OSError, ValueError):
        yield from read_lines(path)


def keep_lines(path: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Drop the records that `keep` refuses: a resumed run writes them again."""
    if path.exists():
        write_lines(path, [record for record in read_lines(path) if keep(record)])
