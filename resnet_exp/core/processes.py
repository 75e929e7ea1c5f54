"""What processes ask of the system that Python has no words for."""

from __future__ import annotations

import ctypes
import signal

PR_SET_PDEATHSIG = 1
# Of malloc.h, and the highest threshold that glibc takes, in bytes.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, HIGHEST = -1, -3, 2**25


# Loaded here: between fork and exec another thread's lock on the loader would never be released.
LIBC = ctypes.CDLL(None)


def die_with_parent(number: signal.Signals) -> None:
    """Let the kernel send this process a signal when its parent ends: one that is killed outright cannot clean up."""
    LIBC.prctl(PR_SET_PDEATHSIG, number)


def keep_memory() -> None:
    """Keep what is freed for what comes next.

    Else the C library gives the memory of an image back to the system, which clears it for the next one: a fifth of
    what it costs to convert one.
    """
    for name in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
        LIBC.mallopt(name, HIGHEST)
