"""Locks on files, which the system releases when the process that holds them ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from resnet_exp.core.errors import RequestError

LOCK_TRIES, LOCK_PAUSE_SECONDS = 5, 0.1


def open_lock(path: Path) -> int:
    """Open the file of a lock, which is made with its folder; raises `OSError` if it cannot be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not truncated: the file may say who holds the lock.
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def try_lock(descriptor: int) -> bool:
    """Lock a file for this process and its children that inherit the descriptor; False if another process has it."""
    # More than one try: `is_locked` in another process holds the lock for a moment, too.
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
        time.sleep(LOCK_PAUSE_SECONDS)
    return False


@contextlib.contextmanager
def held_lock(descriptor: int, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock in a block, then close its file.

    The lock belongs to the open file: children that inherit it keep the lock until the last of them has ended, and
    threads of one process that each open the file exclude each other.

    Args:
        descriptor: of `open_lock`.
        waiting: called before waiting for another process that holds it; to tell the user, for example.
    """
    try:
        if waiting is not None and not try_lock(descriptor):
            waiting()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def removed_if_refused(path: Path) -> Iterator[None]:
    """Remove the file of a lock that this process holds if the block refuses the request; see `is_removed`."""
    try:
        yield
    except RequestError:
        path.unlink(missing_ok=True)
        raise


def is_removed(descriptor: int, path: Path) -> bool:
    """Whether the file of a lock was removed since it was opened: the lock excludes nobody who opens it anew.

    Its number of names would not say so on NFS, where a file that is open only gets another name.
    """
    try:
        return not os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return True


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
        # Any other error: the file system has no locks, so none is held.
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    finally:
        os.close(descriptor)
