"""What a person sees: plain lines, and one line on a terminal that is replaced. What ranks print goes to their logs."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

from resnet_exp.core.terminal import notebook

# The launcher gives rank 0 a copy of its terminal under this number; other ranks have none.
CONSOLE_FD = "RESNET_EXP_CONSOLE_FD"
# Set for a rank whose screen is a notebook's cell: characters in a line.
COLUMNS = "RESNET_EXP_COLUMNS"
CLEAR_LINE = "\r\x1b[K"


def stream() -> TextIO:
    """Where to talk to the user: the launcher's terminal in a rank, else standard output."""
    descriptor = os.environ.get(CONSOLE_FD)
    if descriptor is None:
        return sys.stdout
    encoding = sys.stdout.encoding
    return open(int(descriptor), "w", buffering=1, encoding=encoding, errors="backslashreplace", closefd=False)


def say(text: str) -> None:
    """Print lines to the user at once."""
    _write(text + "\n", stream())


def complain(text: str) -> None:
    """Print one line to standard error."""
    _write(text + "\n", sys.stderr)


def status(text: str) -> None:
    """Show a line that the next one replaces; nothing where there is neither a terminal nor a notebook."""
    if notebook.is_here():
        notebook.status(text)
    elif (columns := width()) is not None:
        _write(text[: columns - 1], stream())


def width() -> int | None:
    """Characters in a line of the terminal or notebook; None where there is neither."""
    if notebook.is_here():
        return notebook.COLUMNS
    file = stream()
    if _is_relayed(file):
        return int(os.environ[COLUMNS])
    if not file.isatty():
        return None
    return os.get_terminal_size(file.fileno()).columns or None


def _is_relayed(file: TextIO) -> bool:
    return COLUMNS in os.environ and CONSOLE_FD in os.environ and file is not sys.stdout


def _write(text: str, file: TextIO) -> None:
    # In a process of another program, such as submitit, the stream may refuse characters.
    encoding = file.encoding or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    # A status may stand on the line of a terminal. A run goes on when its terminal is closed.
    with contextlib.suppress(OSError):
        file.write(CLEAR_LINE + text if file.isatty() or _is_relayed(file) else text)
        file.flush()
