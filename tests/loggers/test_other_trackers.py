"""Other trackers with real clients: an MLflow server, TensorBoard's own reader, and one that fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from resnet_exp.config.checks import import_check, values
from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import read_lines
from resnet_exp.loggers import metric_names
from support.photos import write_photos
from support.ports import unused_port
from support.training import BATCHES, EPOCHS, folders_of, train
from support.warm import WarmPython


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[str]:
    with unused_port() as port:
        yield from _serve(tmp_path, port)


def _serve(tmp_path: Path, port: int) -> Iterator[str]:
    words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.db'}", "--artifacts-destination", str(tmp_path)]
    with (tmp_path / "mlflow.log").open("w") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True, cwd=tmp_path)
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "mlflow.log").read_text()
            time.sleep(0.5)
    yield address
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.soak
def test_other_trackers_and_one_that_fails(tmp_path: Path, warm_training: WarmPython, mlflow_server: str) -> None:
    write_photos(tmp_path / "photos")
    words = ("recipe=mild", "loggers=[progress,tensorboard,mlflow]", "+loggers.faulty._target_=support.faulty.Faulty")
    interruptible = ("+callbacks.interrupter._target_=support.interrupter.Interrupter", "checkpoint_interval=2ba")
    environ = {"MLFLOW_TRACKING_URI": mlflow_server, "NO_PROXY": "127.0.0.1"}
    for moment, code in (("11:SIGINT:launcher", 130), ("never::", 0)):
        done = train(warm_training, tmp_path, *words, *interruptible, INTERRUPT=moment, **environ)
        assert done.returncode == code, done.stdout + done.stderr
        failed = [line for line in done.stdout.splitlines() if "faulty" in line]
        assert failed == ["loggers.faulty has failed and gets nothing more (ConnectionError: nobody is there)"]
        assert mlflow_statuses(mlflow_server) == ["KILLED" if code else "FINISHED"]
    ((name, folder),) = folders_of(tmp_path / "runs").items()
    recorded = [(row["batches"], row["top1"]) for row in read_lines(folder / "metrics.jsonl")]
    recorded_top1 = dict(recorded)
    assert dict(mlflow_values(mlflow_server, name, metric_names.TOP1)) == pytest.approx(recorded_top1)
    assert len(mlflow_values(mlflow_server, name, metric_names.LOSS)) >= BATCHES * EPOCHS
    board = tensorboard_values(tmp_path / "runs" / "tensorboard" / name)
    assert dict(board[metric_names.TOP1]) == pytest.approx(recorded_top1)
    assert [step for step, _ in board[metric_names.LOSS]][-1] == BATCHES * EPOCHS
    raising = ("seed=2", "+callbacks.misbehave._target_=support.misbehave.Misbehave", "+callbacks.misbehave.how=raise")
    assert train(warm_training, tmp_path, *words, *raising, **environ).returncode == 1
    assert mlflow_statuses(mlflow_server) == ["FAILED", "FINISHED"]


def mlflow_statuses(address: str) -> list[str]:
    """How its runs ended, sorted, read with MLflow's own client."""
    from mlflow import MlflowClient

    client = MlflowClient(address)
    (experiment,) = (found for found in client.search_experiments() if found.name == "resnet_exp")
    return sorted(run.info.status for run in client.search_runs([experiment.experiment_id]))


def mlflow_values(address: str, name: str, metric: str) -> list[tuple[int, float]]:
    """A metric of the only run of that name, read with MLflow's own client."""
    from mlflow import MlflowClient

    client = MlflowClient(address)
    (experiment,) = (found for found in client.search_experiments() if found.name == "resnet_exp")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == name
    assert run.data.params["recipe"] == "mild" and run.data.params["model.name"] == "resnet14"
    return [(value.step, value.value) for value in client.get_metric_history(run.info.run_id, metric)]


def tensorboard_values(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


@pytest.mark.parametrize("name", ["MLFlowLogger", "TensorboardLogger"])
def test_a_tracker_whose_package_is_missing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    target = f"composer.loggers.{name}"
    assert import_check.exists(target) and import_check.missing_package(target) is None
    package = import_check.EXTRAS[target]
    kept = [path for path in sys.path if not (Path(path) / package).exists()]
    monkeypatch.setattr(sys, "path", kept)
    # Composer lies in the same folder.
    monkeypatch.setattr(import_check, "exists", lambda target: True)
    with pytest.raises(RequestError, match=rf"loggers.mine needs .*: pip install 'resnet_exp\[{package}\]'"):
        values.check_target("loggers.mine", target)
