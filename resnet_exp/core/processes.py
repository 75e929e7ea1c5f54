"""System calls of processes that Python's standard library lacks."""

from __future__ import annotations

import ctypes
import signal

PR_SET_PDEATHSIG = 1
# Of malloc.h, and the highest threshold that glibc takes, in bytes.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, HIGHEST = -1, -3, 2**25


# Loaded here: between fork and exec another thread's lock on the loader would never be released.
LIBC = ctypes.CDLL(None)


def die_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent ends.

    A parent that is killed with SIGKILL cannot end its children itself.
    """
    LIBC.prctl(PR_SET_PDEATHSIG, number)


def keep_memory() -> None:
    """Keep freed memory in this process for the next allocation.

    By default the C library returns a block as large as an image to the system, which clears it before it hands it out
    again: a fifth of the CPU time of converting an image.
    """
    for name in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
        LIBC.mallopt(name, HIGHEST)
