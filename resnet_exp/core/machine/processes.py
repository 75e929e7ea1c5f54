"""System calls of processes that Python's standard library lacks."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1
# Of malloc.h, and the highest threshold that glibc takes, in bytes.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, HIGHEST = -1, -3, 2**25


# Loaded here: between fork and exec another thread's lock on the loader would never be released.
LIBC = ctypes.CDLL(None)


# What usually sends a signal, and for a small /dev/shm the way out.
CAUSES = {
    signal.SIGKILL: "out of memory?",
    signal.SIGBUS: "no room in /dev/shm? a container has more with --shm-size=SIZE or --ipc=host",
}


def how_it_ended(exit_code: int) -> str:
    """How a process ended, by its exit code, which is negative for a signal: ``SIGKILL (out of memory?)``."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    number = signal.Signals(-exit_code)
    return f"{number.name} ({CAUSES[number]})" if number in CAUSES else number.name


@contextmanager
def variables_kept(names: Sequence[str]) -> Iterator[None]:
    """Put variables of the environment back after the block, for this process and what it starts later."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def die_with_parent(number: signal.Signals, parent: int) -> None:
    """Have the kernel send this process a signal when its parent ends, and end it now if the parent has.

    A parent that is killed with SIGKILL cannot end its children itself.

    Args:
        number: of the signal.
        parent: process id of the parent, as it was known before it could end.
    """
    LIBC.prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        # It ended before the call, so no signal will come. Not `os.kill`: between fork and exec, the parent's handler
        # would take the signal, and exec would go on.
        os._exit(128 + number)


def keep_memory() -> None:
    """Keep freed memory in this process for the next allocation.

    By default the C library returns a block as large as an image to the system, which clears it before it hands it out
    again: a fifth of the CPU time of converting an image.
    """
    for name in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
        LIBC.mallopt(name, HIGHEST)
