"""``failure.json``: why the last attempt of a run failed. ``node*.json``: how the ranks of each of several nodes ended.

``requeue.json``: a job asks its batch script for another start. All record `slurm.attempt`, the start of the SLURM job
they belong to, so that older files are ignored.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
import traceback
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal

from resnet_exp.core import files
from resnet_exp.core.errors import EXIT_FAILED, RequestError, RunFailed
from resnet_exp.core.machine import slurm
from resnet_exp.core.paths import is_users
from resnet_exp.core.records import Text, Whole, from_json, read_record
from resnet_exp.core.terminal.text import one_line
from resnet_exp.runs import checkpoints, folder
from resnet_exp.runs.folder import RunFolder

# Ordered by how much each explains. A rank that lost a peer does not know why. A rank that was ended by a signal cannot
# report it, while its peers may then fail because they lost it.
Ended = Literal["lost peer", "error", "signal"]
ORDER: tuple[Ended, ...] = ("lost peer", "error", "signal")


@dataclass(frozen=True)
class Failure:
    """Why an attempt of a run failed.

    Attributes:
        error: the reason in one line.
        type: name of the exception or the signal; empty if neither is known.
        rank: the rank that failed; None if none had started.
        host: where it failed.
        exit_code: of the run.
        time: when it failed.
        traceback: of the exception.
        ended: whether the rank failed by itself, was ended by a signal, or only lost another rank.
        attempt: `slurm.attempt` of this start of the job.
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
    """A failure that happens now, on this host, in this attempt."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    return Failure(error, type, rank, socket.gethostname(), exit_code, now, traceback, ended, slurm.attempt())


def write_error(run: RunFolder, error: BaseException, exit_code: int, lost_peer: bool = False) -> None:
    """Write ``failure.json`` for an exception; makes room for it if the disk is full.

    Args:
        run: the run that failed.
        error: the exception.
        exit_code: of the run.
        lost_peer: the exception only reports that another rank is gone.
    """
    # Torch's error does not mention a full disk. Check before making room.
    full = run.path.is_dir() and files.is_full(run.path)
    line = folder.FULL.format(run.path.parent) if full else error_line(error)
    rank = int(os.environ["RANK"]) if "RANK" in os.environ else None
    if not rank:
        # Another rank could remove the checkpoint that rank 0 is writing.
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
    """Write ``failure.json``, unless this attempt has one that explains as much or more: the first is the cause."""
    known = current_failure(run)
    if known is None or ORDER.index(known.ended) < ORDER.index(failure.ended):
        files.write_json(run.failure, {"schema": files.SCHEMA, **asdict(failure)})


def read_failure(run: RunFolder) -> Failure | None:
    """Why the last attempt failed, else None.

    Raises:
        RequestError: the file is damaged.
    """
    return read_record(run.failure, partial(from_json, Failure))


def current_failure(run: RunFolder) -> Failure | None:
    """Why this attempt failed, if any rank has reported it."""
    with contextlib.suppress(RequestError):
        failure = read_failure(run)
        return failure if failure is not None and failure.attempt == slurm.attempt() else None
    return None


def error_line(error: BaseException) -> str:
    """The message of an error as one line; unless it is ours, after its type and before its place in a user's code."""
    text, place = str(error), place_of(error)
    if "\nOriginal Traceback" in text:
        # Torch uses the traceback of a loader's worker as the message.
        text = text.strip().rpartition("\n")[2].partition(": ")[2]
    text = one_line(text) or _failed_line(error)
    return text if isinstance(error, (RequestError, RunFailed)) else f"{type(error).__name__}: {text}{place}"


def place_of(error: BaseException) -> str:
    """The innermost line of a user's own code that raised an error, in parentheses; empty if there is none."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    # Those of a loader's worker are in the message.
    frames += re.findall(r'^ *File "(.+)", line (\d+), in ', str(error), re.MULTILINE)
    places = [f" ({file}, line {line})" for file, line in frames if is_users(file)]
    return places[-1] if places else ""


def _failed_line(error: BaseException) -> str:
    """The line that raised an error without a message, such as a bare assertion."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].line} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else "no message"


@dataclass(frozen=True)
class NodeReport:
    """What the launcher of a node reports before it ends its ranks: which ranks had ended, and how.

    Attributes:
        attempt: `slurm.attempt` of this start of the job.
        host: the node.
        codes: exit code of each rank of the node, in order; None for a rank that did not end by itself.
    """

    attempt: Text | None
    host: str
    codes: list[int | None]


def write_report(run: RunFolder, node: int, codes: list[int | None]) -> None:
    """Write the report of this node, number `node` of several, on its ranks."""
    report = NodeReport(slurm.attempt(), socket.gethostname(), codes)
    with contextlib.suppress(OSError):
        files.write_json(run.node_report(node), {"schema": files.SCHEMA, **asdict(report)})


def silent_nodes(run: RunFolder, nodes: int) -> list[int]:
    """Nodes, out of `nodes`, that have not reported on their ranks in this attempt."""
    return [node for node in range(nodes) if _reported_attempt(run, node) != slurm.attempt()]


def _reported_attempt(run: RunFolder, node: int) -> str | None:
    with contextlib.suppress(RequestError):
        report = read_record(run.node_report(node), partial(from_json, NodeReport))
        return report.attempt if report is not None else None
    return None


@dataclass(frozen=True)
class RequeueRequest:
    """What a job leaves for its batch script, where it cannot requeue itself: `slurm.attempt` of its start."""

    attempt: Text | None


def ask_requeue(run: RunFolder) -> None:
    """Ask the batch script of this process's job to requeue it."""
    files.write_json(run.requeue, {"schema": files.SCHEMA, **asdict(RequeueRequest(slurm.attempt()))})


def asks_requeue(run: RunFolder) -> bool:
    """Whether this start of the job has asked its batch script for another."""
    with contextlib.suppress(RequestError):
        asked = read_record(run.requeue, partial(from_json, RequeueRequest))
        return asked is not None and asked.attempt == slurm.attempt()
    return False
