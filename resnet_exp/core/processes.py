"""What processes ask of the system that Python has no words for."""

from __future__ import annotations

import ctypes
import signal

PR_SET_PDEATHSIG = 1
# Of malloc.h, and the highest threshold that glibc takes, in bytes.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, HIGHEST = -1, -3, 2**25


def die_with_parent(number: signal.Signals) -> None:
    """Let the kernel send this process a signal when its parent ends: one that is killed outright cannot clean up."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def keep_memory() -> None:
    """Keep what is freed for what comes next.

    Else the C library gives the memory of an image back to the system, which clears it for the next one: a fifth of
    what it costs to convert one.
    """
    library = ctypes.CDLL(None)
    for name in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
        library.mallopt(name, HIGHEST)
