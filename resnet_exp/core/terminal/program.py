"""What surrounds the `main` of each of our commands: standard streams and exit codes as other Unix tools have them."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable

from resnet_exp.core.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_PIPE_CLOSED

_works = False


def work_begins() -> None:
    """Say that from now on this command does work whose outcome is in files: output that is lost is not its failure."""
    global _works
    _works = True


def run(main: Callable[[], int]) -> int:
    """Call the `main` of a command as the only thing that this process does; returns the exit code of the process.

    A command that answers, such as ``status``, has failed if its answer was lost; one that trains goes on without its
    terminal. Characters that the terminal does not have are printed as escapes.
    """
    _open_missing()
    output, _ = _unfailing("stdout"), _unfailing("stderr")
    code = _exit_code(main)
    output.flush()
    error = output.error
    if error is None:
        return code
    if error.errno == errno.EPIPE:  # its reader, such as head, has read enough
        return code if _works else EXIT_PIPE_CLOSED
    sys.stderr.write(f"standard output cannot be written ({error.strerror}); send it to another file\n")
    return code if _works else max(code, EXIT_FAILED)


def _exit_code(main: Callable[[], int]) -> int:
    try:
        return main()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except SystemExit as ended:  # of argparse and Hydra
        if isinstance(ended.code, str):
            raise
        return ended.code or EXIT_DONE


class _Unfailing(io.TextIOWrapper):
    """A standard stream that raises nothing: whoever prints need not care. `error` is why it was first not written."""

    error: OSError | None = None

    def write(self, text: str, /) -> int:
        """Write, if possible."""
        try:
            return super().write(text)
        except OSError as error:
            self.error = self.error or error
        return len(text)

    def flush(self) -> None:
        """Flush, if possible."""
        try:
            super().flush()
        except OSError as error:
            self.error = self.error or error


def _unfailing(name: str) -> _Unfailing:
    """Put an `_Unfailing` in the place of ``sys.stdout`` or ``sys.stderr``."""
    old = getattr(sys, name)
    stream = _Unfailing(
        os.fdopen(old.fileno(), "wb", 0 if old.write_through else -1, closefd=False),
        encoding=old.encoding,
        errors="backslashreplace",
        line_buffering=old.line_buffering,
        write_through=old.write_through,
    )
    setattr(sys, name, stream)
    setattr(sys, f"__{name}__", stream)
    return stream


def _open_missing() -> None:
    """Open what ``>&-`` has closed in a shell: otherwise the next file that is opened would be standard output."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # The system gives the lowest number that is free. For reading only: what is printed shall not seem written.
            descriptor = os.open(os.devnull, os.O_RDONLY)
            os.set_inheritable(descriptor, descriptor == number)
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", closefd=False))
