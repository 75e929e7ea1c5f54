"""What SLURM's commands say about jobs. Any answer may be "unknown", since the controller may not respond."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shutil
import subprocess
from dataclasses import dataclass

TIMEOUT_SECONDS = 20
# States in which a job is over. It is not while it is REQUEUED or COMPLETING.
ENDED = ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT")


def available() -> bool:
    """Whether this machine has SLURM's commands."""
    return shutil.which("squeue") is not None


def ask(*command: str) -> str | None:
    """Output of one of SLURM's commands; None if it is not there, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


@dataclass(frozen=True)
class QueuedJob:
    """A job that waits or runs.

    Attributes:
        state: SLURM's word, such as ``RUNNING``, and the reason why it waits if that says anything.
        began: when it has started, or started again, in seconds since 1970; 0 where that is not known.
    """

    state: str
    began: float = 0


def in_queue() -> dict[str, QueuedJob] | None:
    """Each of this user's jobs that wait or run, by id (``12_3`` in an array); None when unknown."""
    answer = ask("squeue", "--me", "--noheader", "--array", "--format=%i|%T|%S|%r")
    if answer is None:
        return None
    rows = (line.split("|") for line in answer.splitlines() if line.count("|") == 3)
    return {
        job: QueuedJob(_with_reason(state, reason), _seconds(start))
        for job, state, start, reason in rows
        if state not in ENDED
    }


def _seconds(start: str) -> float:
    # SLURM says N/A for a job that has no start, and else the time of this machine's zone.
    with contextlib.suppress(ValueError):
        return datetime.datetime.fromisoformat(start).timestamp()
    return 0


def _with_reason(state: str, reason: str) -> str:
    # The reason is None until SLURM has considered the job.
    return f"{state} ({reason})" if state == "PENDING" and reason not in ("None", "Resources", "Priority") else state


def state(job: str) -> str | None:
    """State of one job, such as ``RUNNING`` or ``COMPLETING``; None when unknown."""
    answer = ask("squeue", "--noheader", "--array", "--format=%T", "--jobs", job)
    return answer.split()[0] if answer and answer.split() else None


def lost_nodes() -> bool:
    """Whether SLURM has lost contact with a node of the job that this process is part of."""
    nodes = os.environ.get("SLURM_JOB_NODELIST", "")
    states = (ask("sinfo", "--noheader", "--Node", "--nodes", nodes, "--format=%T") or "").split()
    return any(state.endswith("*") or state.startswith("down") for state in states)


def scripts(name: str) -> dict[str, str] | None:
    """Batch script of each of this user's jobs of a name that wait or run, by id of the whole array."""
    answer = ask("squeue", "--me", "--noheader", f"--name={name}", "--format=%F|%o")
    if answer is None:
        return None
    return dict(line.split("|", 1) for line in answer.splitlines() if "|" in line)


def endings(jobs: list[str]) -> dict[str, str]:
    """How jobs ended (``OUT_OF_MEMORY``, ``FAILED 1:0``), as far as SLURM's accounting knows, by id."""
    arrays = sorted({job.partition("_")[0] for job in jobs})
    if not arrays:
        return {}
    columns = "--format=JobID,State,ExitCode"
    answer = ask("sacct", "--allocations", "--noheader", "--parsable2", columns, "--jobs", ",".join(arrays))
    rows = (line.split("|") for line in (answer or "").splitlines())
    found = {row[0]: row[1] if row[2] == "0:0" else f"{row[1]} {row[2]}" for row in rows if len(row) == 3}
    tasks = {task: ending for job, ending in found.items() for task in _tasks(job)}
    # An array that ended before any of its tasks began has one entry for all.
    whole = {job: tasks[array] for job in jobs if (array := job.partition("_")[0]) in tasks}
    return whole | tasks


def _tasks(job: str) -> list[str]:
    """``12_[3-4,7%2]`` names tasks that never started: 12_3, 12_4 and 12_7."""
    match = re.fullmatch(r"(\d+)_\[([\d,-]+)(?:%\d+)?\]", job)
    if not match:
        return [job]
    ranges = (part.partition("-") for part in match[2].split(","))
    numbers = (number for low, _, high in ranges for number in range(int(low), int(high or low) + 1))
    return [f"{match[1]}_{number}" for number in numbers]


def largest_array() -> int:
    """Tasks that one job array may have (``MaxArraySize``)."""
    match = re.search(r"MaxArraySize\s*=\s*(\d+)", ask("scontrol", "show", "config") or "")
    return int(match[1]) if match else 1001  # SLURM's default


def restarts() -> int:
    """How often SLURM has started this process's job again."""
    return int(os.environ.get("SLURM_RESTART_COUNT", "0"))


def own_job() -> str | None:
    """Id of the job that this process is part of, as `in_queue` writes it; None outside of one."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID")


def attempt() -> str | None:
    """This start of the job that this process is part of, another one after each requeue; None outside of a job."""
    job = os.environ.get("SLURM_JOB_ID")
    return f"{job}.{restarts()}" if job else None
