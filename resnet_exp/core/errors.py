"""How something ends badly: the request was wrong, or the run failed; and the exit codes that say so."""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_BAD_REQUEST = 2
EXIT_INTERRUPTED = 130
# That of a program that SIGPIPE ends, since nobody reads what it prints.
EXIT_PIPE_CLOSED = 141


class OneLine(BaseException):
    """An error whose message says all that a user needs: a notebook shows that line, and no traceback."""

    def _render_traceback_(self) -> list[str]:
        """What IPython 9.18.1 prints in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class RequestError(OneLine, ValueError):
    """The request cannot be carried out. The message is one line: key or file, value, fix."""


class OwnedByOther(RequestError):
    """Another process carries out the run: nothing is wrong with the run, and its folder must not be written to."""


class StopRequested(Exception):
    """The user or the cluster asked the run to stop; the state is that between two batches."""


class RunFailed(OneLine, RuntimeError):
    """A run that had begun cannot go on. The message is one line that says what happened and what to do."""


class RunStopped(OneLine, KeyboardInterrupt):
    """A run was stopped on request and has saved a checkpoint. The message says how to continue."""
