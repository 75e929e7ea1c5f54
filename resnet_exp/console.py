"""What a person sees: plain lines, and a bar on a terminal. The rank's own output goes to its log instead."""

from __future__ import annotations

import os
import sys
from typing import TextIO

# The launcher gives rank 0 a copy of its terminal under this number; other ranks have none.
CONSOLE_FD = "RESNET_EXP_CONSOLE_FD"


def stream() -> TextIO:
    """Where to talk to the user: the launcher's terminal in a rank, else standard output."""
    descriptor = os.environ.get(CONSOLE_FD)
    if descriptor is None:
        return sys.stdout
    return os.fdopen(int(descriptor), "w", buffering=1, closefd=False)


def say(text: str) -> None:
    """Print lines to the user at once."""
    print(text, file=stream(), flush=True)


def complain(text: str) -> None:
    """Print one line to standard error."""
    print(text, file=sys.stderr, flush=True)


def span(seconds: float) -> str:
    """A duration for people: ``41 s``, ``27.0 min``, ``3.54 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.2f} h"
