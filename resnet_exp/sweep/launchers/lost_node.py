"""After srun, in a batch script: requeue the job if it asks for that from its container, or has lost one of its nodes.

To the surviving ranks, a lost node and a rank that failed by itself look the same: a closed connection. But the
launcher of each node reports on its ranks before it ends, even when srun ends it; that of a lost node does not.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from resnet_exp.core.errors import EXIT_DONE, EXIT_FAILED, RunFailed
from resnet_exp.core.machine import slurm
from resnet_exp.core.terminal import console
from resnet_exp.runs.failure import asks_requeue, current_failure, silent_nodes, write_error
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import read_progress
from resnet_exp.sweep.launchers import slurm_job

# How long a report may take to appear on a network file system.
PATIENCE_SECONDS = 10.0
POLL_SECONDS = 0.5


def lost_node(run: RunFolder, nodes: int) -> bool:
    """Whether this attempt of a run on `nodes` nodes, which srun has ended, has lost a node.

    A node without a report before any training is not a lost node, unless SLURM says so: otherwise a job whose network
    never works would be requeued again and again.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while _may_be_lost(run, nodes):
        if slurm.lost_nodes():
            return True
        if time.monotonic() > deadline:
            return _has_trained(run)
        time.sleep(POLL_SECONDS)
    return False


def _may_be_lost(run: RunFolder, nodes: int) -> bool:
    """Whether some node has not reported, and no rank is known to have failed by itself."""
    failure = current_failure(run)
    return (failure is None or failure.ended == "lost peer") and bool(silent_nodes(run, nodes))


def _has_trained(run: RunFolder) -> bool:
    progress = read_progress(run)
    return progress is not None and progress.attempt == slurm.attempt()


def main(submitit_folder: str, nodes: str) -> int:
    """Requeue this batch script's job if it asks for it, or has lost one of its `nodes`; returns the exit code."""
    job = slurm.own_job()
    assert job is not None
    task = slurm_job.load_job(Path(submitit_folder), job)
    run = RunFolder(Path(task.folder))
    if slurm.state(job) not in ("RUNNING", None):
        return EXIT_DONE
    if not asks_requeue(run):
        if nodes == "1" or not lost_node(run, int(nodes)):
            return EXIT_DONE
        console.say("a node of this job was lost: no rank has reported why it ended")
    try:
        task.start_again(job)
    except RunFailed as error:
        console.complain(str(error))
        write_error(run, error, EXIT_FAILED)
        return EXIT_FAILED
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
