"""Processes that must not outlive the one that started them."""

from __future__ import annotations

import ctypes
import signal

PR_SET_PDEATHSIG = 1


def die_with_parent(number: signal.Signals) -> None:
    """Let the kernel send this process a signal when its parent ends: one that is killed outright cannot clean up."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
