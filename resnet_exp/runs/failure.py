"""``failure.json``: why the last try of a run failed."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import traceback

from resnet_exp.core import files
from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.text import one_line
from resnet_exp.runs import checkpoints, folder
from resnet_exp.runs.folder import RunFolder


def write_failure(run: RunFolder, error: BaseException, exit_code: int) -> None:
    """Write ``failure.json``; room for it is made if the disk is full."""
    rank = int(os.environ.get("RANK", "0"))
    # Torch does not say that the disk is full. Asked before room is made.
    full = run.path.is_dir() and files.is_full(run.path)
    failure = {
        "schema": files.SCHEMA,
        "error": folder.FULL.format(run.path.parent) if full else error_line(error),
        "type": type(error).__name__,
        "rank": rank,
        "host": socket.gethostname(),
        "exit_code": exit_code,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "traceback": traceback.format_exc(),
    }
    if rank == 0:
        # Another rank would remove the one that rank 0 may be writing.
        checkpoints.remove_stale(run)
    # The first rank to fail knows why; the others only lost it.
    with contextlib.suppress(OSError):
        if not run.failure.exists():
            files.write_json(run.failure, failure)


def error_line(error: BaseException) -> str:
    """The message of an error as one line; the type goes before it unless the message is ours."""
    text = str(error)
    if "\nOriginal Traceback" in text:
        # Torch makes the traceback of a loader's worker the message.
        text = text.strip().rpartition("\n")[2].partition(": ")[2]
    text = one_line(text) or _failed_line(error)
    return text if isinstance(error, (RequestError, RunFailed)) else f"{type(error).__name__}: {text}"


def _failed_line(error: BaseException) -> str:
    """Where an error without a message comes from, such as a bare assertion."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].line} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else "no message"
