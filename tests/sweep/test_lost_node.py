"""Whether a job starts again: a lost node is told from a rank that failed, and a controller is waited for."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from resnet_exp.core.errors import EXIT_INTERRUPTED, RunFailed
from resnet_exp.core.files import write_json
from resnet_exp.core.machine import slurm
from resnet_exp.runs.failure import (
    Ended,
    asks_requeue,
    failure_now,
    read_failure,
    write_error,
    write_failure,
    write_report,
)
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import Progress, write_progress
from resnet_exp.sweep.launchers import lost_node, slurm_job

GLOO = "RuntimeError: [/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.2]:1"
NCCL = "DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3699, invalid usage"
NODES = 3


class DistBackendError(RuntimeError):
    """As torch calls what NCCL says."""


@pytest.fixture(autouse=True)
def _job(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The second start of a job, whose network file system is fast."""
    handlers = {number: signal.getsignal(number) for number in slurm_job.STOP}
    monkeypatch.setattr(lost_node, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(slurm, "lost_nodes", lambda: False)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def progress() -> Progress:
    return Progress(3, 16, "epochs", 0.5, 9.0, time.time(), slurm.attempt())


def folder(path: Path, *reported: int, error: str = GLOO, ended: Ended = "lost peer", kind: str = "") -> RunFolder:
    """A run that has trained, of which a rank has said why it ended; launchers of the nodes `reported` have spoken."""
    run = RunFolder(path)
    write_progress(run, progress())
    write_failure(run, failure_now(error, type=kind, rank=0, ended=ended))
    for node in reported:
        write_report(run, node, [1, None])
    return run


def is_lost(run: RunFolder) -> bool:
    return lost_node.lost_node(run, NODES)


def test_a_node_that_says_nothing_while_the_others_lost_a_peer_is_lost(tmp_path: Path) -> None:
    run = folder(tmp_path, 0, 1)
    assert is_lost(run)
    write_report(run, 2, [None])
    assert not is_lost(run), "all nodes are there: the network failed, or all ranks at once"


def test_ranks_that_nccl_has_ended_have_lost_a_peer(tmp_path: Path) -> None:
    assert is_lost(folder(tmp_path, 0, 2, error="rank 0 was ended by SIGABRT", kind="SIGABRT"))


def test_an_error_of_a_collective_on_all_nodes_is_of_the_run(tmp_path: Path) -> None:
    assert not is_lost(folder(tmp_path, 0, 1, 2, error=NCCL, kind="DistBackendError"))


def test_a_rank_that_fails_by_itself_is_none_whatever_its_log_says(tmp_path: Path) -> None:
    run = folder(tmp_path, 0, error="rank 1 was ended by SIGABRT", ended="signal", kind="SIGABRT")
    run.rank_log(0).write_text("NCCL INFO comm 0x1 rank 0 nranks 2 - Init COMPLETE\ncorrupted double-linked list\n")
    assert not is_lost(run)


@pytest.mark.parametrize(
    ("error", "ended"), [("ValueError: raised as told", "error"), ("rank 1 was ended by SIGKILL", "signal")]
)
def test_a_rank_that_says_why_is_none_though_srun_has_ended_the_other_nodes(
    tmp_path: Path, error: str, ended: Ended
) -> None:
    assert not is_lost(folder(tmp_path, 0, error=error, ended=ended))


def test_nodes_that_are_silent_before_anything_was_trained_are_none_unless_slurm_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = folder(tmp_path, 0)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")  # the start that trained was the one before
    assert not is_lost(run)
    monkeypatch.setattr(slurm, "lost_nodes", lambda: True)
    assert is_lost(run)


def test_what_an_earlier_start_has_said_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = folder(tmp_path, 0, 1, 2, error="ValueError: of an earlier try", ended="error")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    write_progress(run, progress())
    assert is_lost(run)
    write_failure(run, failure_now(GLOO, ended="lost peer"))
    failure = read_failure(run)
    assert failure is not None and failure.error == GLOO


def test_what_explains_more_takes_the_place_of_what_explains_less(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    told: list[tuple[str, Ended]] = [
        ("a", "lost peer"), ("b", "lost peer"), ("c", "error"), ("d", "error"), ("e", "lost peer"), ("f", "signal"),
    ]  # fmt: skip
    found = []
    for error, ended in told:
        write_failure(run, failure_now(error, ended=ended))
        failure = read_failure(run)
        assert failure is not None
        found.append(failure.error)
    assert found == ["a", "a", "c", "c", "c", "f"]


class FailedJob(slurm_job.SlurmJob):
    """One whose ranks have ended with an error."""

    def _run(self, run: RunFolder) -> int:
        return 1


def test_a_job_leaves_the_reason_of_its_ranks_alone(tmp_path: Path) -> None:
    """What a job ends with repeats that reason: as an error of its own, it would hide the loss of a node."""
    run = folder(tmp_path, 0)
    with pytest.raises(RunFailed, match="Connection closed by peer"):
        FailedJob(str(tmp_path), 5, None)()
    failure = read_failure(run)
    assert failure is not None and failure.ended == "lost peer"
    assert is_lost(run)


def test_a_damaged_reason_is_replaced(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for content in ("{", "[]", '{"error": 1}'):
        run.failure.write_text(content)
        write_error(run, ValueError("no"), 1)
        failure = read_failure(run)
        assert failure is not None and failure.error == "ValueError: no"
    write_json(run.node_report(0), {"attempt": 1})
    assert lost_node.lost_node(run, 1) is False, "a rank has said why"


class InterruptedJob(slurm_job.SlurmJob):
    """One that was signaled, and has saved a checkpoint."""

    def _run(self, run: RunFolder) -> int:
        return EXIT_INTERRUPTED


def test_a_job_without_scontrol_asks_its_batch_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder(tmp_path)
    job = InterruptedJob(str(tmp_path), 2, None)
    for name, value in {"PATH": str(tmp_path), "SLURM_PROCID": "0", "SLURM_ARRAY_JOB_ID": ""}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RunFailed, match="job 7 cannot be requeued: no scontrol here"):
        job()  # its batch script was written by an earlier version
    assert not asks_requeue(run)
    run.failure.unlink()
    monkeypatch.setenv(slurm_job.LOOKS_AFTER_SRUN, "1")
    with pytest.raises(SystemExit):
        job()
    assert "the batch script of job 7 requeues it" in capsys.readouterr().out
    assert asks_requeue(run)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert not asks_requeue(run), "the start before has asked"
    with pytest.raises(RunFailed, match="requeued 2 times"):
        job()
    run.requeue.write_text("[]")
    assert not asks_requeue(run)


def test_a_controller_that_stays_away_ends_the_run_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("scontrol", "squeue"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} >>{tmp_path}/asked\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm_job, "CONTROLLER_SECONDS", 3)
    with pytest.raises(RunFailed) as failed:
        slurm_job.SlurmJob("/runs/mine", 5, None).start_again("7_1")
    assert str(failed.value) == (
        "job 7_1 could not be requeued: SLURM's controller does not answer; rerun the same command to "
        "continue from the last checkpoint"
    )
    asked = (tmp_path / "asked").read_text().split()
    # Every two seconds; fewer times on a busy machine.
    assert len(asked) >= 4 and asked == ["scontrol", "squeue"] * (len(asked) // 2)
