"""Shell blocks of README and docs: what is typed, and the files that it needs.

A block runs as written, in the order of its page, or the line above it says in italics why it does not:
``*Needs ImageNet.*``, ``*Takes 25 minutes.*``, ``*Downloads 3.6 GB.*``. A block of another language with
``title="NAME"`` is the file of that name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELL = "console"
FENCE = re.compile(r'^( *)```(\w*)(?: title="([^"]+)")?\n(.*?)^\1```$', re.MULTILINE | re.DOTALL)
REASON = re.compile(r"\*(?:Needs|Takes|Downloads) [^*]+\*\n\n\Z")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    title: str | None
    text: str
    reason: str | None

    @property
    def commands(self) -> list[str]:
        """The lines to type: those after ``$``, if there are any, else all."""
        lines = [line for line in self.text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
        typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return typed or lines


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text()
    for found in FENCE.finditer(text):
        indent, language, title, body = found.groups()
        body = re.sub(f"^{indent}", "", body, flags=re.MULTILINE)
        reason = REASON.search(re.sub(f"^{indent}", "", text[: found.start()], flags=re.MULTILINE))
        yield Block(language, title, body, reason and reason[0].strip("*\n"))


def shell_blocks(page: Path) -> list[Block]:
    """The blocks of a page that a shell takes."""
    return [block for block in blocks(page) if block.language == SHELL]


def runs_here(page: Path) -> list[Block]:
    """The shell blocks of a page that nothing keeps from running."""
    return [block for block in shell_blocks(page) if block.reason is None]


def write_files(page: Path, folder: Path) -> None:
    """Write the files that a page shows."""
    for block in blocks(page):
        if block.title is not None:
            path = folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
