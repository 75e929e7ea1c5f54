"""Locks on files, which end with the process that holds them. Standard library only."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

LOCK_TRIES, LOCK_PAUSE_SECONDS = 5, 0.1


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
