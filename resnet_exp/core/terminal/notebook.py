"""The output of a notebook's cell in the place of a terminal. Works without ipywidgets."""

from __future__ import annotations

import sys
from typing import Any

# Characters in a line: what a cell shows without scrolling.
COLUMNS = 100

# The cell's display that `status` replaces; None where nothing is shown.
_shown: Any = None


def is_here() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def status(text: str) -> None:
    """Show a line in the output of the cell, in the place of the last one; an empty one ends it."""
    global _shown
    from IPython.display import display

    content = {"text/plain": text}
    if _shown is not None:
        _shown.update(content, raw=True)
    elif text:
        _shown = display(content, raw=True, display_id=True)
    if not text:
        _shown = None
