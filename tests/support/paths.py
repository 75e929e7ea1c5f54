"""Where the project and its tests lie."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# On PYTHONPATH it lets a run find ``support.misbehave`` and the like.
TESTS = ROOT / "tests"


def pages_of_errors() -> str:
    """The text of all pages about errors in docs/."""
    return "\n".join(page.read_text() for page in sorted((ROOT / "docs").glob("errors*.md")))
