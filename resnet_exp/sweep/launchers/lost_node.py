"""After srun, in the batch script of a job of several nodes: start again if a node was lost.

Whoever is left sees the same when a node is lost and when a rank fails by itself: a connection that closed. But that
rank, or its launcher, says why in ``failure.json``; a node that is lost says nothing. The job's step cannot tell,
since srun kills it for either reason.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

from resnet_exp.core import console, slurm
from resnet_exp.core.errors import EXIT_DONE, EXIT_FAILED, RunFailed
from resnet_exp.runs.failure import write_failure
from resnet_exp.runs.folder import RunFolder
from resnet_exp.sweep.launchers import slurm_job

# How long an explanation may take to arrive on a network's file system.
PATIENCE_SECONDS = 10.0
POLL_SECONDS = 0.5
# What torch, gloo and NCCL say when a rank is gone that they talk to. NCCL's watchdog ends its process by SIGABRT.
LOST = re.compile(r"\bgloo/|\bNCCL\b|Connection (closed|reset) by peer|Broken pipe")
LOST_TYPES = ("DistNetworkError", "DistStoreError", "DistBackendError")
LOG_BYTES = 2**16


def lost_node(run: RunFolder, began: float, code: int) -> bool:
    """Whether the try of a run that began at a time, and that srun ended with `code`, has lost a node.

    A connection that fails before anything was trained is no lost node, unless SLURM says so: a network that never
    works would be tried again and again.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _is_unexplained(run, began, code):
        if slurm.lost_nodes():
            return True
        if time.monotonic() > deadline:
            return _is_newer(run.progress, began)
        time.sleep(POLL_SECONDS)
    return False


def _is_unexplained(run: RunFolder, began: float, code: int) -> bool:
    failure = run.read_failure() if _is_newer(run.failure, began) else None
    if failure is not None:
        return is_lost_connection(run, failure)
    # Python ends with 1 by itself; anything else was done to it.
    return code != EXIT_FAILED


def _is_newer(path: Path, began: float) -> bool:
    return path.exists() and path.stat().st_mtime >= began


def is_lost_connection(run: RunFolder, failure: dict[str, Any]) -> bool:
    """Whether a failure only says that another rank is gone."""
    if failure["type"] in LOST_TYPES:
        return True
    said = _end_of_log(run, failure["rank"]) if failure["type"] == "SIGABRT" else failure["error"]
    return LOST.search(said) is not None


def _end_of_log(run: RunFolder, rank: int) -> str:
    log = run.rank_log(rank)
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_BYTES))
        return file.read().decode(errors="replace")


def main(submitit_folder: str, began: str, code: str) -> int:
    """Start this batch script's job again if it has lost a node; returns the exit code."""
    job = slurm.own_job()
    assert job is not None
    task = slurm_job.load_job(Path(submitit_folder), job)
    run = RunFolder(Path(task.folder))
    if slurm.state(job) not in ("RUNNING", None) or not lost_node(run, float(began), int(code)):
        return EXIT_DONE
    console.say("a node of this job was lost: no rank has said why it ended")
    try:
        task.start_again(job)
    except RunFailed as error:
        console.complain(str(error))
        run.failure.unlink(missing_ok=True)  # it only says that a connection closed
        write_failure(run, error, EXIT_FAILED)
        return EXIT_FAILED
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
