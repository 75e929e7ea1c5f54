"""The text of a plan: lines, and rows of a name and a text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_exp.config.overrides import command_line
from resnet_exp.core.errors import RequestError
from resnet_exp.launch import summary

Line = str | tuple[str, str]
# Lowest and highest value.
Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True, repr=False)
class PlannedText:
    """What every plan has: its text. Print it, or show it as the last value of a notebook's cell."""

    lines: tuple[Line, ...]

    def text(self, width: int | None = None) -> str:
        """The text, wrapped to `width` characters; None does not wrap."""
        return "\n".join(summary.row(*line, width) if isinstance(line, tuple) else line for line in self.lines)

    def __str__(self) -> str:
        return self.text()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # Of IPython 9.18.1.
        printer.text(self.text())


def check_runs_dir(path: Path) -> None:
    """Raise `RequestError` if the folder of runs is a file."""
    if path.exists() and not path.is_dir():
        raise RequestError(f"runs_dir={path} is not a folder; set runs_dir=PATH")


def measuring_command(words: Iterable[str], ssr: float) -> str:
    """The command line that runs `words` with another ssr."""
    kept = [word for word in words if not re.match(r"\+{0,2}(ssr=|sweep=(?!null))", word)]
    return command_line.command_of([*kept, f"ssr={ssr:g}"])
