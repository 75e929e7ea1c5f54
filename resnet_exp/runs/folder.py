"""The run folder: where the islands meet. Standard library only.

``config.yaml`` (what to do), ``environment.json`` (with what), ``rank*.log``, ``metrics.jsonl`` (one line an
evaluation), ``trace.jsonl`` (one line a batch, if asked for), ``progress.json`` (how far, every few seconds),
``checkpoints/``, ``weights.pt``, and at the end ``result.json`` or ``failure.json``. JSON files are written whole or
not at all.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_exp.core.errors import OwnedByOther, RequestError

SCHEMA = 1
# Set for ranks whose launcher holds the lock of the run folder.
OWNED = "RESNET_EXP_OWNED"
FULL = "runs_dir={} is full; free some space, then the same command goes on from the last checkpoint"
FULL_BYTES = 2**18
LOCK_TRIES, LOCK_PAUSE_SECONDS = 5, 0.1


@dataclass(frozen=True)
class RunDir:
    """Paths of one run folder."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def failure(self) -> Path:
        return self.path / "failure.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def trace(self) -> Path:
        return self.path / "trace.jsonl"

    @property
    def weights(self) -> Path:
        return self.path / "weights.pt"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def latest_checkpoint(self) -> Path:
        return self.checkpoints / "latest-rank0.pt"

    @property
    def progress(self) -> Path:
        return self.path / "progress.json"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    @property
    def launcher_log(self) -> Path:
        """What a run's launcher says when it has no terminal of its own."""
        return self.path / "launcher.log"

    def rank_log(self, rank: int) -> Path:
        """Log of everything that a rank and its libraries print."""
        return self.path / f"rank{rank}.log"

    def read_result(self) -> dict[str, Any] | None:
        """The result of a finished run, else None; raises `RequestError` if it is none that can be shown."""
        result = read_json(self.result)
        if result is not None and result.get("schema") != SCHEMA:
            raise RequestError(f"{self.result} is no result of this version; remove it to run again")
        return result

    def read_failure(self) -> dict[str, Any] | None:
        """Why the last try failed, else None."""
        return read_json(self.failure)


def is_full(folder: Path) -> bool:
    """Whether the disk of a folder has so little left that this explains a failure."""
    return shutil.disk_usage(folder).free < FULL_BYTES


def read_bytes(path: str | Path) -> bytes:
    """The content of a file; `OSError` if it is none, so that no pipe or device keeps a reader for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return file.read()


def read_json(path: Path) -> dict[str, Any] | None:
    """Parse a JSON object; None when the file is not there.

    Raises:
        RequestError: the file is there and holds no JSON object.
    """
    try:
        value = json.loads(read_bytes(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RequestError(f"{path} cannot be read ({error.strerror}); remove it to run again") from error
    except ValueError as error:
        raise RequestError(f"{path} is damaged ({error}); remove it to run again") from error
    if not isinstance(value, dict):
        raise RequestError(f"{path} holds no JSON object; remove it to run again")
    return value


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: temporary file in the same folder, fsync, rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_json(path: Path, value: object) -> None:
    """Write JSON whole or not at all; NaN and infinity are refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def append_line(path: Path, value: object) -> None:
    """Append one JSON line in a single write."""
    with path.open("a") as file:
        file.write(json.dumps(value, allow_nan=False) + "\n")


def write_lines(path: Path, values: list[dict[str, Any]]) -> None:
    """Write a JSON-lines file whole or not at all."""
    write_text(path, "".join(json.dumps(value, allow_nan=False) + "\n" for value in values))


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a JSON-lines file; a last line that was cut off by a crash is left out."""
    if not path.exists():
        return
    for line in read_bytes(path).splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield json.loads(line)


def whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield records up to the first that is damaged, such as where the disk was full; none if there is no file."""
    with contextlib.suppress(OSError, ValueError):
        yield from read_lines(path)


def keep_lines(path: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
    """Drop the records that `keep` refuses: a resumed run writes them again."""
    if path.exists():
        write_lines(path, [record for record in read_lines(path) if keep(record)])


def try_lock(descriptor: int) -> bool:
    """Lock a file for this process and those that inherit the descriptor; False if another process has it.

    Whoever asks with `is_locked` has it for a moment too: hence more than one try.
    """
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
        time.sleep(LOCK_PAUSE_SECONDS)
    return False


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock of a file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError as error:
        # Where a file system has no locks, none is held.
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    finally:
        os.close(descriptor)


def acquire(run: RunDir) -> int:
    """Own a run folder until the returned file descriptor, and every copy a child inherited, is closed.

    Raises:
        OwnedByOther: another process owns it.
    """
    descriptor = os.open(run.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        locked = try_lock(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    if not locked:
        owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise OwnedByOther(f"{run.path} is running already (by {owner or 'another process'}); wait for it or stop it")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    return descriptor
