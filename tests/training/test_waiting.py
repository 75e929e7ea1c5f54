"""What is done once is not in the time of training; a batch that never comes ends a run, and so does a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from resnet_exp.core.files import read_json
from resnet_exp.runs.folder import RunFolder
from support.commands import RunCli, command, left_running
from support.paths import TESTS

MINE = (
    "recipe=mild", "run_id=mine", "data=synthetic", "data.loader._target_=support.stuck.make_loader",
    "~data.loader.train_images", "~data.loader.val_images", "~data.loader.distinct_images",
)  # fmt: skip
IMPATIENT = "+callbacks.impatient._target_=support.stuck.Impatient"


def read(path: Path) -> dict[str, Any]:
    value = read_json(path)
    assert value is not None
    return value


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    return RunFolder(tmp_path / "runs" / "mine")


def test_what_is_done_once_is_in_no_other_time(run: RunFolder, train_cli: RunCli, tiny: list[str]) -> None:
    done = train_cli(*tiny, *MINE, "+data.loader.seconds=8")
    assert done.returncode == 0, done.stderr
    timing = read(run.result)["timing"]
    assert timing["startup_seconds"] > 16, "of the loaders of train and val"
    assert timing["data_wait_seconds"] < 8 and timing["eval_seconds"] < 8


def test_a_batch_that_never_comes_ends_the_run(run: RunFolder, train_cli: RunCli, tiny: list[str]) -> None:
    limits = (IMPATIENT, "+callbacks.impatient.limit=2", "+callbacks.impatient.stop=60")
    done = train_cli(*tiny, *MINE, "+data.loader.at=2", *limits, timeout=200)
    line = (
        "the loader of train delivered no batch within 2 s; the log shows where its threads and workers stand; rerun "
        "the same command to continue from the last checkpoint"
    )
    assert (done.returncode, done.stderr) == (1, f"{line}\n")
    assert read(run.failure)["error"] == line
    assert "support/stuck.py" in run.rank_log(0).read_text(), "it says where"


def test_a_signal_ends_a_run_that_waits_for_a_batch(run: RunFolder, tmp_path: Path, tiny: list[str]) -> None:
    limits = (IMPATIENT, "+callbacks.impatient.limit=600", "+callbacks.impatient.stop=1")
    line = command(tmp_path, *tiny, *MINE, "+data.loader.at=2", *limits, "trace=true")
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(line, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True) as launcher:
        while not run.trace.exists() or run.trace.read_text().count("\n") < 2:
            assert launcher.poll() is None
            time.sleep(0.05)
        launcher.send_signal(signal.SIGINT)
        said, _ = launcher.communicate(timeout=200)
    assert launcher.returncode == 130
    assert said.endswith(f"stopped; rerun the same command to continue: {run.path}\n")
    assert run.latest_checkpoint.resolve().name == "stopped-ba2-rank0.pt"
    assert left_running(tmp_path) == []


def test_batches_come_whatever_the_length_of_tmpdir(
    tmp_path: Path, run_cli: RunCli, tiny: list[str], photo_tree: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    # Which torch makes there when it is imported, unless an earlier test of this process has set it.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    data = ("data=imagefolder", "dataset=imagefolder", f"dataset.dir={photo_tree()}", "data.num_workers=2")
    done = run_cli("recipe=mild", *tiny, *data)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(folder.iterdir()) == []
