"""What other tests rely on when they use the cluster of slurm_cluster.py."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from support.slurm_cluster import SlurmCluster

pytestmark = pytest.mark.soak

# Each notes its restart in a file and then is busy in a step, as the launcher's jobs are.
SLEEPS = 'echo "restart ${SLURM_RESTART_COUNT:-0}" >>%s; [ -n "$SLURM_RESTART_COUNT" ] || srun sleep 60'
# A job that ends by itself in the grace time is over for SLURM, even when it was preempted, unless it says otherwise.
GIVES_WAY = """
echo "restart ${SLURM_RESTART_COUNT:-0}" >>%s
[ -n "$SLURM_RESTART_COUNT" ] || srun bash -c '
  trap "scontrol requeue $SLURM_JOB_ID; exit 1" TERM; echo ready >>%s; while :; do sleep 0.2; done'
"""
CATCHES = "srun bash -c 'trap \"echo caught >>%s; exit 0\" USR2; while :; do sleep 0.2; done'"
HOG = """srun python3 -c 'import time; held = b"x" * (200 << 20); time.sleep(20)'"""


def wait_for(file: Path, text: str, timeout: float = 300) -> None:
    end = time.monotonic() + timeout
    while not (file.exists() and text in file.read_text()):
        assert time.monotonic() < end, f"no {text!r} in {file}"
        time.sleep(0.2)


def test_ends_of_jobs(slurm: SlurmCluster, tmp_path: Path) -> None:
    requeued, preempted, signaled = tmp_path / "requeued", tmp_path / "preempted", tmp_path / "signaled"
    fails = slurm.submit("srun sh -c 'exit 3'", "--mem=50")
    hog = slurm.submit(HOG, "--mem=50")
    again = slurm.submit(SLEEPS % requeued, "--mem=50")
    victim = slurm.submit(GIVES_WAY % (preempted, preempted), "--mem=50", "--nodelist=n1", "--gpus-per-node=8")
    listens = slurm.submit(CATCHES % signaled, "--mem=50", "--time=2", "--signal=USR2@90")

    wait_for(requeued, "restart 0")
    assert slurm.processes(again) and not set(slurm.processes(again)) & set(slurm.processes(victim))
    slurm.run("scontrol", "requeue", again)
    wait_for(preempted, "ready")
    urgent = slurm.submit("srun true", "--mem=50", "--partition=urgent", "--nodelist=n1", "--gpus-per-node=8")

    assert slurm.wait_state(fails, "FAILED", "COMPLETED") == "FAILED"
    assert slurm.run("sacct", "-X", "-n", "-P", "-o", "ExitCode", "-j", fails) == "3:0"
    # The job has only FAILED, as its script has; its step says more, or was canceled where there are no cgroups.
    slurm.wait_state(hog, "FAILED", "COMPLETED")
    assert slurm.run("sacct", "-n", "-P", "-o", "State", "-j", f"{hog}.0") in ("OUT_OF_MEMORY", "CANCELLED by 0")
    wait_for(requeued, "restart 1")
    wait_for(preempted, "restart 1")
    for job in (again, victim, urgent):
        slurm.wait_state(job, "COMPLETED")
        times = 1 if job == urgent else 2
        ends = slurm.run("sacct", "-D", "-X", "-n", "-P", "-o", "State", "-j", job).splitlines()
        assert ends == ["REQUEUED", "COMPLETED"][-times:]
    # slurmctld looks for jobs near their limit every 30 s only; not before the job is ready, 30 s after its start.
    wait_for(signaled, "caught")
    assert slurm.wait_state(listens, "COMPLETED", "FAILED") == "COMPLETED"
    assert not slurm.processes()


def test_loss_of_a_node_and_of_the_controller(slurm: SlurmCluster, tmp_path: Path) -> None:
    note = tmp_path / "note"
    job = slurm.submit(SLEEPS % note, "--mem=50", "--nodelist=n2")
    wait_for(note, "restart 0")
    slurm.fail_node("n2")
    assert slurm.processes(job) == []
    slurm.restart_controller()
    assert slurm.run("sinfo", "-h", "-p", "main", "-n", "n2", "-o", "%T") == "down"
    slurm.restore_node("n2")
    wait_for(note, "restart 1")
    slurm.wait_state(job, "COMPLETED")
