"""``failure.json``, why the last try of a run failed, and ``node*.json``, what each of several nodes says of its ranks.

Both are of one start of a SLURM job, `slurm.attempt`, so that what is left of an earlier one is told apart.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
import traceback
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal

from resnet_exp.core import files, slurm
from resnet_exp.core.errors import EXIT_FAILED, RequestError, RunFailed
from resnet_exp.core.records import Text, Whole, from_json, read_record
from resnet_exp.core.text import one_line
from resnet_exp.runs import checkpoints, folder
from resnet_exp.runs.folder import RunFolder

# The more it explains the later it comes: a lost peer says nothing of that peer's end, and a rank that was ended by a
# signal cannot speak for itself, while its peers may fail for having lost it.
Ended = Literal["lost peer", "error", "signal"]
ORDER: tuple[Ended, ...] = ("lost peer", "error", "signal")


@dataclass(frozen=True)
class Failure:
    """Why a try of a run failed.

    Attributes:
        error: the reason in one line.
        type: name of the exception or the signal; empty where neither is known.
        rank: the rank that failed; None where none had started.
        host: where that was.
        exit_code: of the run.
        time: when that was.
        traceback: of the exception.
        ended: whether a rank has failed by itself, was ended by a signal, or has only lost another one.
        attempt: `slurm.attempt` of the try.
    """

    error: str
    type: str = ""
    rank: Whole | None = None
    host: str = ""
    exit_code: int = EXIT_FAILED
    time: str = ""
    traceback: str = ""
    ended: Ended = "error"
    attempt: Text | None = None


def failure_now(
    error: str,
    *,
    type: str = "",
    rank: int | None = None,
    exit_code: int = EXIT_FAILED,
    traceback: str = "",
    ended: Ended = "error",
) -> Failure:
    """A failure of this moment, on this host, of this try."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    return Failure(error, type, rank, socket.gethostname(), exit_code, now, traceback, ended, slurm.attempt())


def write_error(run: RunFolder, error: BaseException, exit_code: int, lost_peer: bool = False) -> None:
    """Write ``failure.json`` for an exception; room for it is made if the disk is full.

    Args:
        run: the run that failed.
        error: the exception.
        exit_code: of the run.
        lost_peer: the exception only says that another rank is gone.
    """
    # Torch does not say that the disk is full. Asked before room is made.
    full = run.path.is_dir() and files.is_full(run.path)
    line = folder.FULL.format(run.path.parent) if full else error_line(error)
    rank = int(os.environ["RANK"]) if "RANK" in os.environ else None
    if not rank:
        # Another rank would remove the one that rank 0 may be writing.
        checkpoints.remove_stale(run)
    failure = failure_now(
        line,
        type=type(error).__name__,
        rank=rank,
        exit_code=exit_code,
        traceback="".join(traceback.format_exception(error)),
        ended="lost peer" if lost_peer else "error",
    )
    with contextlib.suppress(OSError):
        write_failure(run, failure)


def write_failure(run: RunFolder, failure: Failure) -> None:
    """Write ``failure.json``, unless there is one of this try that explains more, or as much: the first knows why."""
    known = current_failure(run)
    if known is None or ORDER.index(known.ended) < ORDER.index(failure.ended):
        files.write_json(run.failure, {"schema": files.SCHEMA, **asdict(failure)})


def read_failure(run: RunFolder) -> Failure | None:
    """Why the last try failed, else None.

    Raises:
        RequestError: the file is damaged.
    """
    return read_record(run.failure, partial(from_json, Failure))


def current_failure(run: RunFolder) -> Failure | None:
    """Why this try failed, as far as anybody has said."""
    with contextlib.suppress(RequestError):
        failure = read_failure(run)
        return failure if failure is not None and failure.attempt == slurm.attempt() else None
    return None


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


@dataclass(frozen=True)
class NodeReport:
    """What the launcher of a node says once it has begun to end its ranks: those that ended before, and how.

    Attributes:
        attempt: `slurm.attempt` of the try.
        host: the node.
        codes: exit code of each rank of the node, in their order; None of one that has not ended by itself.
    """

    attempt: Text | None
    host: str
    codes: list[int | None]


def write_report(run: RunFolder, node: int, codes: list[int | None]) -> None:
    """Write what this node, number `node` of several, says of its ranks."""
    report = NodeReport(slurm.attempt(), socket.gethostname(), codes)
    with contextlib.suppress(OSError):
        files.write_json(run.node_report(node), {"schema": files.SCHEMA, **asdict(report)})


def silent_nodes(run: RunFolder, nodes: int) -> list[int]:
    """Those of so many nodes that have said nothing of their ranks in this try."""
    return [node for node in range(nodes) if _reported_attempt(run, node) != slurm.attempt()]


def _reported_attempt(run: RunFolder, node: int) -> str | None:
    with contextlib.suppress(RequestError):
        report = read_record(run.node_report(node), partial(from_json, NodeReport))
        return report.attempt if report is not None else None
    return None
