"""``hydra/launcher=submitit_local``: a sweep on one machine, several runs at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.commands import RunCli, command, left_running
from support.paths import TESTS
from support.trained_sweep import TrainedSweep

LOCAL = ("-m", "hydra/launcher=submitit_local", "hydra.launcher.parallel=2", "sweep=local")


def photos_of(tree: Path) -> tuple[str, ...]:
    return ("dataset=imagefolder", f"dataset.dir={tree}", "data=imagefolder", "recipe=mild")


@pytest.mark.slow
def test_two_at_a_time_and_again(trained_sweep: TrainedSweep) -> None:
    assert "2 runs: 2 done" in trained_sweep.output.read_text()
    started = [json.loads(path.read_text())["time"] for path in trained_sweep.runs.glob("*/environment.json")]
    ended = [path.stat().st_mtime for path in trained_sweep.runs.glob("*/result.json")]
    begun = [time.mktime(time.strptime(when[:19], "%Y-%m-%dT%H:%M:%S")) for when in started]
    assert max(begun) < min(ended)
    again = trained_sweep.train()
    assert again.returncode == 0
    assert "2 of 2 runs are already done" in again.stdout


def test_a_run_that_cannot_start_says_why(train_cli, tmp_path):
    wrong = ("dataset=imagenet", "dataset.dir=/nowhere", "data=imagefolder", "recipe=mild", "hardware=cpu")
    done = train_cli(*LOCAL, *wrong, "seed=1,2,3")
    assert done.returncode == 1
    assert "3 runs: 3 failed" in done.stdout
    for path in (tmp_path / "runs").glob("*/failure.json"):
        assert "dataset.dir" in json.loads(path.read_text())["error"]
    assert done.stdout.count("dataset.dir") >= 3


def test_a_sweep_that_this_machine_cannot_run_leaves_nothing(train_cli: RunCli, tmp_path: Path) -> None:
    done = train_cli(*LOCAL, "hardware=h100x1", "recipe=mild")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("hardware=h100x1 needs 1 GPU, this machine has 0; use hardware=auto")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_ctrl_c_stops_the_runs_and_leaves_nothing(tiny, photo_tree, tmp_path):
    gate = ("+callbacks.wait._target_=support.misbehave.Misbehave", "+callbacks.wait.gate=/nowhere", "trace=true")
    words = command(tmp_path, *LOCAL, *photos_of(photo_tree()), *tiny, *gate, "seed=1,2,3")
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=tmp_path, env=environ, stdout=pipe, stderr=pipe, text=True) as process:
        end = time.monotonic() + 120
        while len(list((tmp_path / "runs").glob("*/trace.jsonl"))) < 2:
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "3 runs: 2 stopped, 1 missing" in printed
    assert len(list((tmp_path / "runs").glob("*/checkpoints/latest-rank0.pt"))) == 2
    assert left_running(tmp_path / "runs") == []
