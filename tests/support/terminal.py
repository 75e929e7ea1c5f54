"""A terminal of 80 columns for a program."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
import time

COLUMNS = 80


class Terminal:
    """A program under a pseudo-terminal; keeps the lines as they stand, and everything that ever stood in the last."""

    def __init__(self, command: list[str]) -> None:
        self.process, self.descriptor = pty.fork()
        if self.process == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
            os.execv(command[0], command)
        self.raw = ""

    def read_until(self, pattern: str | None, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while pattern is None or not re.search(pattern, self.raw):
            assert time.monotonic() < deadline, self.raw
            try:
                self.raw += os.read(self.descriptor, 65536).decode(errors="replace")
            except OSError:  # the last process has closed it
                assert pattern is None, self.raw
                return

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def exit_code(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])

    def states(self) -> list[list[str]]:
        """Of every line: what stood there, one after the other, the last of them for good."""
        return [line.rstrip("\r").replace("\r\x1b[K", "\r").split("\r") for line in self.raw.split("\n")]

    def lines(self) -> list[str]:
        """What stands there in the end, each state written over the one before."""
        return [self._overwritten(line) for line in self.raw.split("\n")]

    @staticmethod
    def _overwritten(line: str) -> str:
        shown = ""
        for state in line.rstrip("\r").split("\r"):
            erases = state.startswith("\x1b[K")
            text = state.removeprefix("\x1b[K")
            shown = text if erases else text + shown[len(text) :]
        return shown.rstrip()
