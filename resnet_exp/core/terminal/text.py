"""Text for people: durations, sums of money, sizes, counts, and whatever must fit in one line."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

# What neither a shell nor Hydra reads as anything else; a value that may not be a text, such as 1 or null, is quoted.
PLAIN_VALUE = re.compile(r"[\w./+-]*/[\w./+-]*", re.ASCII)
BACKSLASH = "\\"
# Decimals that an error may add to its mean.
MORE_DIGITS = 3


def span(seconds: float) -> str:
    """A duration for people: ``41 s``, ``27.0 min``, ``3.54 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.2f} h"


def dollars(amount: float | None) -> str:
    """``$1,234.50``, and ``$0.0024`` below ten cents, as on the Explorer page (``rules/format.js``)."""
    return f"${amount:,.4f}" if amount and abs(amount) < 0.1 else f"${amount or 0:,.2f}"


def with_error(mean: float, error: float, digits: int, before: str = "") -> str:
    """``13.80 ± 0.04``: both with as many decimals as it takes for an error that is not 0 to be seen.

    The Explorer page writes the same (``rules/format.js``).

    Args:
        mean: the value.
        error: its standard error.
        digits: decimals at least.
        before: stands before each number, such as ``$``.
    """
    if error == 0:
        return f"{before}{_rounded(mean, digits)} ± {before}0"
    most = digits + MORE_DIGITS
    more = next((more for more in range(digits, most) if error >= 0.5 * 10**-more), most)
    seen = f"{before}{_rounded(error, more)}" if error >= 0.5 * 10**-more else f"<{before}{_rounded(10**-more, more)}"
    return f"{before}{_rounded(mean, more)} ± {seen}"


def _rounded(number: float, digits: int) -> str:
    # From the shortest decimal number, as JavaScript does it.
    return f"{Decimal(repr(number)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):,f}"


def percent_with_error(mean: float, error: float) -> str:
    """``76.60% ± 0.04``, of a fraction and its standard error."""
    return with_error(100 * mean, 100 * error, 2).replace(" ±", "% ±")


def byte_size(amount: float) -> str:
    """``512.0 MB``."""
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if amount >= 100 or unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def plural(count: int, noun: str) -> str:
    """``1 run``, ``1,200 runs``, ``2 batches``, ``5 classes``."""
    ending = "" if count == 1 else "es" if noun.endswith(("tch", "ss")) else "s"
    return f"{count:,} {noun}{ending}"


def fraction(text: str) -> float | None:
    """A number between 0 and 1, such as ``0.766``; None for any other text."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < 1 else None


def one_of(typed: str, known: Sequence[str], else_too: str = "") -> str:
    """``did you mean split?``, or where no known word is near, ``use one of split, check`` and what else there is."""
    near = difflib.get_close_matches(typed, known, n=3, cutoff=0.75)
    return f"did you mean {' or '.join(near)}?" if near else f"use one of {', '.join(known)}{else_too}"


def not_an_option(typed: str, known: Sequence[str]) -> str:
    """``--jsn is not an option; did you mean --json?``, without the question where no known option is near."""
    name = typed.partition("=")[0]
    near = difflib.get_close_matches(name, [option for option in known if option.startswith("--")], n=1, cutoff=0.75)
    return f"{printable(typed)} is not an option{f'; did you mean {near[0]}?' if near else ''}"


def one_line(text: object) -> str:
    """A text, or the message of an error, without line breaks and repeated spaces."""
    return " ".join(str(text).split())


def printable(text: str | Path) -> str:
    r"""A text or a path as part of one line: what cannot be shown, and line ends, as escapes such as ``\n``."""
    text = str(text)
    return text if text.isprintable() else "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(character: str) -> str:
    # Python has a byte of a path that is not UTF-8 as a lone surrogate.
    byte = ord(character) - 0xDC00
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else character.encode("unicode_escape").decode()


def setting(key: str, value: str | Path) -> str:
    """A setting as it is typed in a shell: ``data.cache_dir=/data``, or ``'data.cache_dir="/my data/year=2019"'``."""
    text = str(value)
    if PLAIN_VALUE.fullmatch(text):
        return f"{key}={text}"
    # Hydra reads backslashes before a quote in pairs, and OmegaConf reads ${ as another key's value.
    escaped = re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + found[2].replace('"', '\\"'), text)
    return shlex.quote(f'{key}="{escaped.replace("${", BACKSLASH + "${")}"')


def time_unit(longest: float) -> tuple[str, float]:
    """Unit for times of up to `longest` seconds, and its length in seconds."""
    return ("s", 1) if longest < 600 else ("min", 60) if longest < 36_000 else ("h", 3600)


def between(low: Any, high: Any, show: Any) -> str:
    """A number, or two: ``27.0 min``, ``24.7 min to 30.1 min``."""
    return show(low) if show(low) == show(high) else f"{show(low)} to {show(high)}"


def text_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, whose cells stand below each other, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def below_here(path: Path) -> str:
    """A path as it is called from here, if it lies below."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
