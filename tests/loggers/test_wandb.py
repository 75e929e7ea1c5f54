"""A real sweep with W&B's real client, offline: what its service gets of it, and what a report reads of it."""

from __future__ import annotations

import csv
import datetime
import json
import math
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from resnet_exp.core.files import read_json, read_lines
from resnet_exp.loggers import metric_names
from support import wandb_service
from support.commands import Finished
from support.trained_sweep import NAME, USD_PER_HOUR, TrainedSweep
from support.training import BATCHES, EPOCHS, folders_of
from support.wandb_service import Service, StoredRun
from support.warm import WarmPython


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


def test_a_report_of_wandb_folders_is_one_of_their_runs(
    tracked: Tracked, tmp_path: Path, warm_python: WarmPython
) -> None:
    wandb_folders = [folder / "wandb" for folder in tracked.runs.values()]
    (one,) = wandb_folders[0].glob("offline-run-*")
    words = ["-o", "out", "--no-published"]
    done = report(warm_python, tmp_path, *map(str, [*wandb_folders[1:], one]), *words)
    assert (done.returncode, done.stderr) == (0, "")
    with (tmp_path / "out" / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    top1 = {name: read_json(folder / "result.json") for name, folder in tracked.runs.items()}
    assert {row["run_id"]: float(row["top1"]) for row in rows} == {name: r["top1"] for name, r in top1.items() if r}
    # Given again with their run folders, each is still one run.
    again = report(warm_python, tmp_path, str(wandb_folders[0]), str(tracked.folder / "runs"), *words)
    assert "2 runs: 2 done" in again.stdout


def test_a_report_of_files_without_their_run_folder_is_refused(
    tracked: Tracked, tmp_path: Path, warm_python: WarmPython
) -> None:
    shutil.copytree(next(iter(tracked.runs.values())) / "wandb", tmp_path / "copied")
    (one,) = (path.name for path in (tmp_path / "copied").glob("offline-run-*"))
    for place in ("copied", f"copied/{one}"):
        done = report(warm_python, tmp_path, place, "-o", "out")
        assert (done.returncode, done.stdout) == (2, "") and not (tmp_path / "out").exists()
        assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith(f"{place} has only W&B's files, ")


def report(python: WarmPython, folder: Path, *arguments: str) -> Finished:
    return python.run(["resnet_exp.report", *arguments], folder)


def test_metrics_of_other_callbacks_wait_for_those_of_their_batch(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B drops a step before the last one, and losses become known some batches late."""
    from resnet_exp.loggers.wandb_background import BackgroundRun
    from resnet_exp.loggers.wandb_logger import WeightsAndBiases

    for name, value in {**service.environ(), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    tracker = WeightsAndBiases(runs_dir=str(tmp_path), project="mine")
    tracker._run = BackgroundRun(tmp_path, print, 60, 60, quiet=True, id="held", name="held", project="mine")
    for step in (1, 2, 3):
        tracker.log_metrics({"mine/metric": step / 10}, step)
    for step in (1, 2):
        tracker.log_metrics({metric_names.BATCH: step, metric_names.LOSS: float(step)}, step)
    tracker.post_close()
    rows = service.runs["held"].rows("history")
    seen = [(row["_step"], row["mine/metric"], row.get(metric_names.LOSS)) for row in rows]
    assert seen == [(1, 0.1, 1.0), (2, 0.2, 2.0), (3, 0.3, None)]
