"""Whether a job starts again: a lost node is told from a rank that failed, and a controller is waited for."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from resnet_exp.core import slurm
from resnet_exp.core.errors import RunFailed
from resnet_exp.runs.folder import RunFolder
from resnet_exp.sweep.launchers import lost_node, slurm_job

GLOO = "RuntimeError: [/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.2]:1"
NCCL = "DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3699, remote process exited or there was a network error"
KILLED = 137
EARLIER = time.time() - 1000


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost_node, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(slurm, "lost_nodes", lambda: False)


def folder(path: Path, kind: str = "RuntimeError", error: str = GLOO, log: str = "") -> RunFolder:
    run = RunFolder(path)
    run.progress.write_text("{}")
    run.failure.write_text(json.dumps({"type": kind, "error": error, "rank": 0}))
    run.rank_log(0).write_text(log)
    return run


def is_lost(run: RunFolder, code: int = 1) -> bool:
    return lost_node.lost_node(run, time.time() - 100, code)


def test_a_connection_that_closed_is_a_lost_node(tmp_path: Path) -> None:
    assert is_lost(folder(tmp_path))
    assert is_lost(folder(tmp_path, "DistBackendError", NCCL))
    assert is_lost(folder(tmp_path, "DistNetworkError", "DistNetworkError: failed to recv, got 0 bytes"))
    assert is_lost(folder(tmp_path, "SIGABRT", "rank 0 was ended by SIGABRT", "x" * 10**5 + "[PG] NCCL watchdog"))


def test_a_rank_that_says_why_is_none(tmp_path: Path) -> None:
    for kind, error in (("ValueError", "ValueError: raised as told"), ("SIGKILL", "rank 1 was ended by SIGKILL")):
        assert not is_lost(folder(tmp_path, kind, error), KILLED)
    assert not is_lost(folder(tmp_path, "SIGABRT", "rank 0 was ended by SIGABRT", "corrupted double-linked list"))


def test_a_connection_that_never_worked_is_none_unless_slurm_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = folder(tmp_path)
    os.utime(run.progress, (EARLIER, EARLIER))
    assert not is_lost(run)
    monkeypatch.setattr(slurm, "lost_nodes", lambda: True)
    assert is_lost(run)


def test_tasks_that_srun_killed_before_they_could_say_anything_were_lost(tmp_path: Path) -> None:
    run = folder(tmp_path, "ValueError", "ValueError: of an earlier try")
    os.utime(run.failure, (EARLIER, EARLIER))
    assert is_lost(run, KILLED)
    assert not is_lost(run, 1)


def test_a_controller_that_stays_away_ends_the_run_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("scontrol", "squeue"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} >>{tmp_path}/asked\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm_job, "CONTROLLER_SECONDS", 1)
    with pytest.raises(RunFailed) as failed:
        slurm_job.SlurmJob("/runs/mine", 5, None).start_again("7_1")
    assert str(failed.value) == (
        "job 7_1 could not be requeued: SLURM's controller does not answer; the same command goes on from the last "
        "checkpoint"
    )
    assert (tmp_path / "asked").read_text().split() == ["scontrol", "squeue"] * 2
