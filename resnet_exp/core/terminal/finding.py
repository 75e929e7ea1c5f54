"""What a check has found, and how it is shown."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import partial
from typing import Literal

State = Literal["ok", "note", "bad"]
MARKS: dict[State, str] = {"ok": "ok", "note": "NOTE", "bad": "BAD"}
MARK_WIDTH, NAME_WIDTH = 6, 15


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        check: what was looked at.
        state: ``bad`` if a run would not start, not end, or be worth nothing; ``note`` if it would, but is slower or
            less safe than it could be.
        found: what there is.
        fix: what to do; empty where nothing is to be done.
    """

    check: str
    state: State
    found: str
    fix: str = ""


def lines_of(finding: Finding, width: int | None) -> str:
    """A finding as lines of a terminal of `width` characters, None for none: what it is, and what to do about it."""
    head = f"{MARKS[finding.state]:<{MARK_WIDTH}}{finding.check:<{NAME_WIDTH}}"
    texts = [finding.found, *([f"-> {finding.fix}"] if finding.fix else [])]
    indent = " " * (MARK_WIDTH + NAME_WIDTH)
    if width is None:
        return head + f"\n{indent}".join(texts)
    fold = partial(textwrap.wrap, width=max(20, width - len(indent)), break_long_words=False, break_on_hyphens=False)
    return head + f"\n{indent}".join(line for text in texts for line in fold(text))
