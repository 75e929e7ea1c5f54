"""Words for people: durations, sums, sizes, paths, tables. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

pass


def span(seconds: float) -> str:
    """A duration for people: ``41 s``, ``27.0 min``, ``3.54 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.2f} h"


def dollars(amount: float | None) -> str:
    """``$1,234.50``."""
    return f"${amount or 0:,.2f}"


def byte_size(amount: float) -> str:
    """``512.0 MB``."""
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if amount >= 100 or unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def shown(path: str | Path) -> str:
    """A path as part of one line: what no terminal can show, and the end of a line, become escapes."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def printable(text: str) -> str:
    r"""A text that fits a line: what cannot be shown in it (line ends, bytes of other encodings) as ``\x0a``."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def time_unit(longest: float) -> tuple[str, float]:
    """Unit for times of up to `longest` seconds, and its length in seconds."""
    return ("s", 1) if longest < 600 else ("min", 60) if longest < 36_000 else ("h", 3600)


def between(low: Any, high: Any, show: Any) -> str:
    """A number, or two: ``27.0 min``, ``24.7 min to 30.1 min``."""
    return show(low) if show(low) == show(high) else f"{show(low)} to {show(high)}"


def below_here(path: Path) -> str:
    """A path as it is called from here, if it lies below."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
