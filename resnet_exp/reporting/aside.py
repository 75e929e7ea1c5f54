"""Work in a process of its own, beside this one."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection


def start(work: Callable[[], None]) -> Callable[[], None]:
    """Begin `work` in a copy of this process, which must have no threads; returns what waits for its end.

    That raises what `work` raised, or `ChildProcessError` if the process was killed. `work` has to leave its results
    in files.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(work, sender))
    process.start()
    sender.close()

    def finish() -> None:
        try:
            error = receiver.recv()
        except EOFError:
            error = ChildProcessError("a process of the report was killed")
        process.join()
        if error is not None:
            raise error

    return finish


def _run(work: Callable[[], None], sender: Connection) -> None:
    try:
        work()
    except Exception as error:
        sender.send(error)
    else:
        sender.send(None)
