"""What rank 0 prints, for a program that has no terminal to give it, such as the kernel of a notebook.

The rank writes into a pipe as on a terminal, and the program shows it where its own output goes.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys

from resnet_exp.core.terminal import console, notebook

CHUNK_BYTES = 2**16


class Relay:
    """The screen of rank 0: `descriptor` is what it writes to, `environ` what it must know of it."""

    def __init__(self) -> None:
        """A pipe if this program cannot hand on its own output, else that output."""
        self.environ: dict[str, str] = {}
        self._reading: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""
        own = None if notebook.is_here() else _own_output()
        if own is not None:
            self.descriptor = os.dup(own)
            return
        self._reading, self.descriptor = os.pipe()
        os.set_blocking(self._reading, False)
        if notebook.is_here():
            self.environ[console.COLUMNS] = str(notebook.COLUMNS)

    def show(self) -> None:
        """Show what has been written since the last call."""
        with contextlib.suppress(BlockingIOError):
            while self._reading is not None and (content := os.read(self._reading, CHUNK_BYTES)):
                self._take(self._decoder.decode(content))

    def _take(self, text: str) -> None:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            if seen := _seen(line):
                console.say(seen)
        # Of what was drawn one upon the other, what can be seen now.
        self._line = self._line[max(0, self._line.rfind("\r")) :]
        if seen := _seen(self._line):
            console.status(seen)

    def close(self) -> None:
        """Show what is left."""
        self.show()
        for descriptor in (self.descriptor, self._reading):
            if descriptor is not None:
                os.close(descriptor)
        console.status("")


def _own_output() -> int | None:
    try:
        return sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return None


def _seen(line: str) -> str:
    """What a terminal shows of a line that was overwritten from its beginning."""
    return line.rsplit("\r", 1)[-1].replace("\x1b[K", "").rstrip()
