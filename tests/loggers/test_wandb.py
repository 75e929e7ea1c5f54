"""Trackers with real clients: W&B against a loopback service, a real MLflow server, TensorBoard's own reader."""

from __future__ import annotations

import csv
import datetime
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from resnet_exp.config import import_check, values
from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import read_json, read_lines
from resnet_exp.loggers import metric_names
from support import wandb_service
from support.commands import TINY, command
from support.paths import TESTS
from support.photos import write_photos
from support.trained_sweep import BATCHES, EPOCHS, NAME, USD_PER_HOUR, TrainedSweep
from support.wandb_service import Service, StoredRun

PHOTOS = ("data=imagefolder", "dataset=imagefolder", "train_batch_size=4")
SENT = ("result", "evaluations")


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with wandb_service.running() as running:
        yield running


def train(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Train on the photographs of a folder."""
    own = {**os.environ, "PYTHONPATH": str(TESTS), "HOME": str(folder), **environ}
    words = command(folder, *TINY, *PHOTOS, f"dataset.dir={folder / 'photos'}", *arguments)
    return subprocess.run(words, cwd=folder, env=own, capture_output=True, text=True, timeout=400)


def folders_of(runs: Path) -> dict[str, Path]:
    return {path.parent.name: path.parent for path in sorted(runs.glob("*/config.yaml"))}


# --- A sweep, offline, read back


class Tracked(NamedTuple):
    folder: Path
    runs: dict[str, Path]
    stored: dict[str, StoredRun]


@pytest.fixture(scope="module")
def tracked(trained_sweep: TrainedSweep, service: Service) -> Tracked:
    """A sweep of two runs that nobody is logged in for, and what W&B's service gets of it by ``wandb sync``."""
    folder, runs = trained_sweep.folder, trained_sweep.runs
    wandb_service.sync(service, sorted(runs.glob("*/wandb/offline-run-*")), folder)
    return Tracked(folder, folders_of(runs), dict(service.runs))


def test_nobody_logged_in_is_offline_and_said_once_a_run(tracked: Tracked) -> None:
    assert len(tracked.runs) == 2
    for run in tracked.runs.values():
        (line,) = (line for line in (run / "launcher.log").read_text().splitlines() if "W&B" in line)
        assert line.startswith("W&B is recorded offline (No API key configured")
        folder = line.partition("wandb sync ")[2]
        assert (tracked.folder / folder).is_dir(), "the command that it names has no such folder"


def test_each_run_is_one_run_there(tracked: Tracked) -> None:
    assert set(tracked.stored) == set(tracked.runs)
    for name, stored in tracked.stored.items():
        assert stored.settings["displayName"] == name and stored.settings["project"] == "resnet_exp"
        assert stored.settings["groupName"] == NAME and stored.settings["jobType"] == name.partition("-")[0]
        assert stored.settings["tags"] == ["resnet14", "imagefolder", "imagefolder", "cpu", "local"]
        assert (stored.exit_code, stored.preempting) == (0, False)
        assert stored.artifacts == {f"{name}-result": "result"}


def test_its_configuration_is_nested_and_has_the_environment(tracked: Tracked) -> None:
    import yaml

    for name, stored in tracked.stored.items():
        frozen = yaml.safe_load((tracked.runs[name] / "config.yaml").read_text())
        environment = read_json(tracked.runs[name] / "environment.json")
        given = dict(stored.config)
        assert given.pop("environment") == filled(environment)
        assert {key: value for key, value in given.items() if key in frozen} == filled(frozen)
        assert not [key for key in given if "." in key], "a key stands there twice, nested and flat"


def filled(value: Any) -> Any:
    """As W&B keeps a configuration: without empty mappings, dates as text."""
    if not isinstance(value, dict):
        return value.isoformat() if isinstance(value, datetime.date) else value
    kept = {key: filled(inner) for key, inner in value.items()}
    return {key: inner for key, inner in kept.items() if inner != {}}


def test_its_history_is_what_the_run_recorded(tracked: Tracked) -> None:
    for name, stored in tracked.stored.items():
        rows = stored.rows("history")
        steps = [row["_step"] for row in rows]
        assert steps == sorted(set(steps))
        batches = {row[metric_names.BATCH]: row for row in rows if metric_names.LOSS in row}
        assert list(batches) == list(range(1, BATCHES * EPOCHS + 1)) and steps[-1] == BATCHES * EPOCHS
        assert all(
            math.isfinite(row[metric_names.LOSS]) and row[metric_names.LEARNING_RATE] >= 0 for row in batches.values()
        )
        assert metric_names.IMAGES_PER_SECOND not in batches[1] and batches[2][metric_names.IMAGES_PER_SECOND] > 0
        assert all(0 <= row[metric_names.DATA_WAIT_SHARE] <= 1 for batch, row in batches.items() if batch > 1)
        assert {row[metric_names.IMAGE_SIZE] for row in batches.values()} <= {16, 20, 24, 28, 32}
        recorded = list(read_lines(tracked.runs[name] / "metrics.jsonl"))
        evaluated = [row for row in rows if metric_names.TOP1 in row]
        assert [row[metric_names.EPOCH] for row in evaluated] == [1, 2] == [row["epoch"] for row in recorded]
        for row, ours in zip(evaluated, recorded, strict=True):
            assert (row[metric_names.TOP1], row[metric_names.TOP5], row[metric_names.EVAL_LOSS]) == (
                ours["top1"],
                ours["top5"],
                ours["loss"],
            )
            assert row[metric_names.TRAIN_SECONDS] == ours["train_seconds"]
            assert row[metric_names.COST] == pytest.approx(ours["train_seconds"] * USD_PER_HOUR / 3600)


def test_its_summary_has_the_result_and_the_best(tracked: Tracked) -> None:
    for name, stored in tracked.stored.items():
        result = read_json(tracked.runs[name] / "result.json")
        assert result is not None and stored.summary["result"] == result
        rows = list(read_lines(tracked.runs[name] / "metrics.jsonl"))
        assert stored.summary["evaluations"] == rows
        assert stored.summary[metric_names.TOP1] == result["top1"]
        assert stored.summary[metric_names.BEST_TOP1] == max(row["top1"] for row in rows)
        reached = [row["train_seconds"] for row in rows if row["top1"] >= 0.759]
        assert stored.summary.get(metric_names.seconds_to(0.759)) == (reached[0] if reached else None)


def test_metrics_have_their_axes_and_the_machine_is_watched(tracked: Tracked) -> None:
    for stored in tracked.stored.values():
        defined = json.loads(stored.settings["config"])["_wandb"]["value"]["m"]
        by_name = {entry["1"]: entry for entry in defined}
        axis = {name: defined[entry["5"] - 1]["1"] for name, entry in by_name.items() if "5" in entry}
        assert axis == {
            **dict.fromkeys(metric_names.BATCH_METRICS, metric_names.BATCH),
            **dict.fromkeys(metric_names.EVAL_METRICS, metric_names.EPOCH),
        }
        assert any("system.cpu" in key or "system.proc.cpu.threads" in key for key in stored.rows("events")[0])


def test_a_report_of_wandb_folders_is_one_of_their_runs(tracked: Tracked, tmp_path: Path) -> None:
    wandb_folders = [folder / "wandb" for folder in tracked.runs.values()]
    (one,) = wandb_folders[0].glob("offline-run-*")
    words = ["-o", "out", "--no-published"]
    done = report(tmp_path, *map(str, [*wandb_folders[1:], one]), *words)
    assert (done.returncode, done.stderr) == (0, "")
    with (tmp_path / "out" / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    top1 = {name: read_json(folder / "result.json") for name, folder in tracked.runs.items()}
    assert {row["run_id"]: float(row["top1"]) for row in rows} == {name: r["top1"] for name, r in top1.items() if r}
    # Given again with their run folders, each is still one run.
    assert "2 runs: 2 done" in report(tmp_path, str(wandb_folders[0]), str(tracked.folder / "runs"), *words).stdout


def test_a_report_of_files_without_their_run_folder_is_refused(tracked: Tracked, tmp_path: Path) -> None:
    shutil.copytree(next(iter(tracked.runs.values())) / "wandb", tmp_path / "copied")
    (one,) = (path.name for path in (tmp_path / "copied").glob("offline-run-*"))
    for place in ("copied", f"copied/{one}"):
        done = report(tmp_path, place, "-o", "out")
        assert (done.returncode, done.stdout) == (2, "") and not (tmp_path / "out").exists()
        assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith(f"{place} holds W&B's files alone, ")


def report(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "resnet_exp.report", *arguments]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120)


# --- Stopped, killed, gone on with


def test_killed_and_resumed_is_one_run(tmp_path: Path, service: Service) -> None:
    write_photos(tmp_path / "photos")
    interruptible = ("+callbacks.interrupter._target_=support.interrupter.Interrupter", "checkpoint_interval=2ba")
    words = ("recipe=mild", "hardware.devices=2", "loggers=[wandb,csv,jsonl]", *interruptible)
    for moment, code in (("5:SIGKILL:rank", 1), ("11:SIGINT:launcher", 130), ("never::", 0)):
        done = train(tmp_path, *words, INTERRUPT=moment, WANDB_MODE="offline")
        assert done.returncode == code, done.stdout + done.stderr
    ((name, folder),) = folders_of(tmp_path / "runs").items()
    tries = sorted((folder / "wandb").glob("offline-run-*"))
    # The first was killed at once and may have written nothing.
    assert len(tries) in (2, 3), "each try has one folder: only rank 0 talks to W&B"
    wandb_service.sync(service, tries, tmp_path)
    stored = service.runs[name]
    rows = stored.rows("history")
    losses = {row["_step"]: row[metric_names.LOSS] for row in rows if metric_names.LOSS in row}
    # The client writes once a second: what a kill takes is of the batches just before it.
    batches = range(1, BATCHES * EPOCHS + 1)
    assert list(losses) == sorted(losses) and set(batches[5:]) <= set(losses) <= set(batches)
    assert (stored.exit_code, stored.preempting) == (0, True)
    assert set(stored.summary) >= set(SENT)
    with (folder / "train.csv").open() as file:
        listed = {int(row[metric_names.BATCH]): float(row[metric_names.LOSS]) for row in csv.DictReader(file)}
    lines = list(read_lines(folder / "train.jsonl"))
    assert listed == {row[metric_names.BATCH]: row[metric_names.LOSS] for row in lines}
    assert list(listed) == list(batches) and listed.items() >= losses.items()
    evaluated = list(read_lines(folder / "eval.jsonl"))
    assert [row[metric_names.EPOCH] for row in evaluated] == [1, 2]


# --- Online, and when the service is slow, full or gone

PROGRAM = """
import sys, time
from pathlib import Path
from resnet_exp.loggers.wandb_background import BackgroundRun
began = time.monotonic()
# A client that has begun is waited for briefly; one that has not may be loading on a machine that others use.
run = BackgroundRun(Path("here"), print, 3.0, 3.0 if sys.argv[2] == "wait" else 30.0, id=sys.argv[1], project="p")
for step in range(100):
    run.do(lambda it, step=step: it.log({"a": step}, step=step))
if sys.argv[2] == "wait":
    print("ready", flush=True)
    sys.stdin.readline()
    for step in range(100, 200):
        run.do(lambda it, step=step: it.log({"a": step}, step=step))
if sys.argv[2] == "raise":
    run.do(lambda it: 1 / 0)
    run.do(lambda it: it.log({"a": 100}, step=100))
called = time.monotonic() - began
run.finish()
print("done", called < 1 or sys.argv[2] == "wait", flush=True)
"""


def background(folder: Path, run_id: str, how: str, environ: dict[str, str]) -> subprocess.Popen[str]:
    (folder / "here").mkdir()
    own = {**os.environ, "HOME": str(folder), **environ}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, run_id, how],
        cwd=folder,
        env=own,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def heard(said: str) -> list[str]:
    """What is said to the user, without what the client itself prints, which goes to a rank's log."""
    return [line for line in said.splitlines() if line.startswith(("W&B", "done"))]


@pytest.mark.parametrize("fault", ["stalls", "429", "401"])
def test_a_service_that_fails_at_the_start_leaves_an_offline_run(tmp_path: Path, fault: str) -> None:
    with wandb_service.running() as own:
        if fault == "stalls":
            own.stalls.set()
        else:
            own.status = int(fault)
        said, _ = background(tmp_path, "begun", "go on", own.environ()).communicate(timeout=100)
    lines = heard(said)
    assert len(lines) == 2 and lines[1] == "done True", "whoever logs has waited for W&B"
    assert lines[0].startswith("W&B is recorded offline (") and fault.rstrip("s") in lines[0].replace(
        "deadline", "stall"
    )
    with wandb_service.running() as well:
        wandb_service.sync(well, [tmp_path / lines[0].partition("wandb sync ")[2]], tmp_path)
        assert len(well.runs["begun"].rows("history")) == 100


@pytest.mark.parametrize("fault", ["stalls", "500"])
def test_a_service_that_fails_later_gets_the_rest_by_hand(tmp_path: Path, fault: str) -> None:
    with wandb_service.running() as own:
        process = background(tmp_path, "later", "wait", own.environ())
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 60
        while "later" not in own.runs and time.monotonic() < deadline:
            time.sleep(0.1)
        if fault == "stalls":
            own.stalls.set()
        else:
            own.status = int(fault)
        said, _ = process.communicate("go on\n", timeout=100)
    lines = heard(said)
    assert len(lines) == 2 and lines[1] == "done True"
    assert lines[0].startswith(
        "W&B has not taken everything; to upload the rest: wandb sync --include-online here/wandb/"
    )
    with wandb_service.running() as well:
        wandb_service.sync(well, [Path("--include-online"), tmp_path / lines[0].rpartition(" ")[2]], tmp_path)
        assert len(well.runs["later"].rows("history")) == 200


def test_what_fails_is_said_once_and_nothing_more_is_sent(tmp_path: Path) -> None:
    said, _ = background(tmp_path, "broken", "raise", {"WANDB_MODE": "offline"}).communicate(timeout=100)
    assert heard(said) == ["W&B gets nothing more of this run (division by zero)", "done True"]


def test_disabled_is_respected(tmp_path: Path) -> None:
    said, _ = background(tmp_path, "none", "go on", {"WANDB_MODE": "disabled"}).communicate(timeout=100)
    assert heard(said) == ["done True"] and not list((tmp_path / "here").rglob("*.wandb"))


def test_a_run_that_fails_is_a_failed_one_there(tmp_path: Path, service: Service) -> None:
    write_photos(tmp_path / "photos")
    failing = ("+callbacks.misbehave._target_=support.misbehave.Misbehave", "+callbacks.misbehave.how=raise")
    done = train(tmp_path, "recipe=mild", "loggers=[wandb]", *failing, **service.environ())
    assert done.returncode == 1 and "raised as told" in done.stderr
    ((name, _),) = folders_of(tmp_path / "runs").items()
    assert service.runs[name].exit_code == 1
    assert [row[metric_names.BATCH] for row in service.runs[name].rows("history") if metric_names.BATCH in row] == [
        1,
        2,
        3,
    ]


def test_online_with_a_service_that_stalls_a_run_trains_as_ever(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos")
    patience = ("loggers.wandb.init_seconds=3", "loggers.wandb.finish_seconds=3")
    with wandb_service.running() as own:
        own.stalls.set()
        done = train(tmp_path, "recipe=mild", "loggers=[progress,wandb]", *patience, **own.environ())
    assert done.returncode == 0 and "W&B is recorded offline (" in done.stdout
    ((_, folder),) = folders_of(tmp_path / "runs").items()
    with wandb_service.running() as well:
        wandb_service.sync(well, sorted(folder.glob("wandb/offline-run-*")), tmp_path)
        assert well.runs[folder.name].summary["result"] == read_json(folder / "result.json")


# --- The others


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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


def test_other_trackers_and_one_that_fails(tmp_path: Path, mlflow_server: str) -> None:
    write_photos(tmp_path / "photos")
    words = ("recipe=mild", "loggers=[progress,tensorboard,mlflow]", "+loggers.faulty._target_=support.faulty.Faulty")
    interruptible = ("+callbacks.interrupter._target_=support.interrupter.Interrupter", "checkpoint_interval=2ba")
    environ = {"MLFLOW_TRACKING_URI": mlflow_server, "NO_PROXY": "127.0.0.1"}
    for moment, code in (("11:SIGINT:launcher", 130), ("never::", 0)):
        done = train(tmp_path, *words, *interruptible, INTERRUPT=moment, **environ)
        assert done.returncode == code, done.stdout + done.stderr
        failed = [line for line in done.stdout.splitlines() if "faulty" in line]
        assert failed == ["loggers.faulty has failed and gets nothing more (ConnectionError: nobody is there)"]
    ((name, folder),) = folders_of(tmp_path / "runs").items()
    recorded = [(row["batches"], row["top1"]) for row in read_lines(folder / "metrics.jsonl")]
    recorded_top1 = dict(recorded)
    assert dict(mlflow_values(mlflow_server, name, metric_names.TOP1)) == pytest.approx(recorded_top1)
    assert len(mlflow_values(mlflow_server, name, metric_names.LOSS)) >= BATCHES * EPOCHS
    board = tensorboard_values(tmp_path / "runs" / "tensorboard" / name)
    assert dict(board[metric_names.TOP1]) == pytest.approx(recorded_top1)
    assert [step for step, _ in board[metric_names.LOSS]][-1] == BATCHES * EPOCHS


def mlflow_values(address: str, name: str, metric: str) -> list[tuple[int, float]]:
    """A metric of the only run of that name, read with MLflow's own client."""
    from mlflow import MlflowClient

    client = MlflowClient(address)
    (experiment,) = (found for found in client.search_experiments() if found.name == "resnet_exp")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == (name, "FINISHED")
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
