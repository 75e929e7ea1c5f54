"""W&B's real client when runs are stopped and killed, and when its service is slow, full or gone."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resnet_exp.core.files import read_json, read_lines
from resnet_exp.loggers import metric_names
from support import wandb_service
from support.photos import write_photos
from support.training import BATCHES, EPOCHS, folders_of, train
from support.wandb_service import Service
from support.warm import WarmPython

SENT = ("result", "evaluations")


# --- Stopped, killed, gone on with


@pytest.mark.soak
def test_killed_and_resumed_is_one_run(tmp_path: Path, warm_training: WarmPython, service: Service) -> None:
    write_photos(tmp_path / "photos")
    interruptible = ("+callbacks.interrupter._target_=support.interrupter.Interrupter", "checkpoint_interval=2ba")
    words = ("recipe=mild", "hardware.devices=2", "loggers=[wandb,csv,jsonl]", *interruptible)
    for moment, code in (("5:SIGKILL:rank", 1), ("11:SIGINT:launcher", 130), ("never::", 0)):
        done = train(warm_training, tmp_path, *words, INTERRUPT=moment, WANDB_MODE="offline")
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


@pytest.mark.slow
def test_a_run_that_was_deleted_there_goes_on_under_another_id(tmp_path: Path) -> None:
    with wandb_service.running() as own:
        own.deleted = {"gone", "gone-2"}
        # So long the client tries each id.
        said, _ = background(tmp_path, "gone", "go on", own.environ(), begins=10).communicate(timeout=400)
        assert heard(said) == [
            "W&B: run gone was deleted there; it goes on as gone-2",
            "W&B: run gone-2 was deleted there; it goes on as gone-3",
            "done True",
        ]
        assert set(own.runs) == {"gone-3"}
        assert [path.name.rpartition("-gone")[2] for path in tmp_path.glob("here/wandb/run-*")] == ["-3"]
        assert own.runs["gone-3"].settings["displayName"] == "gone" and len(own.runs["gone-3"].rows("history")) == 100


PROGRAM = """
import sys, time
from pathlib import Path
from resnet_exp.loggers.wandb_background import BackgroundRun
began = time.monotonic()
run = BackgroundRun(
    Path("here"), print, float(sys.argv[3]), float(sys.argv[4]), id=sys.argv[1], name=sys.argv[1], project="p"
)
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
print("done", called < 3 or sys.argv[2] == "wait", flush=True)
"""


def background(
    folder: Path, run_id: str, how: str, environ: dict[str, str], begins: float = 60, ends: float = 60
) -> subprocess.Popen[str]:
    """A program that logs; `begins` and `ends` are the seconds for which it waits for a service."""
    (folder / "here").mkdir()
    own = {**os.environ, "HOME": str(folder), **environ}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, run_id, how, str(begins), str(ends)],
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
        said, _ = background(tmp_path, "begun", "go on", own.environ(), begins=3).communicate(timeout=400)
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
        process = background(tmp_path, "later", "wait", own.environ(), ends=3)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 200
        while "later" not in own.runs and time.monotonic() < deadline:
            time.sleep(0.1)
        if fault == "stalls":
            own.stalls.set()
        else:
            own.status = int(fault)
        said, _ = process.communicate("go on\n", timeout=400)
    lines = heard(said)
    assert len(lines) == 2 and lines[1] == "done True"
    assert lines[0].startswith(
        "W&B has not taken everything; to upload the rest: wandb sync --include-online here/wandb/"
    )
    with wandb_service.running() as well:
        wandb_service.sync(well, [Path("--include-online"), tmp_path / lines[0].rpartition(" ")[2]], tmp_path)
        assert len(well.runs["later"].rows("history")) == 200


def test_what_fails_is_said_once_and_nothing_more_is_sent(tmp_path: Path) -> None:
    said, _ = background(tmp_path, "broken", "raise", {"WANDB_MODE": "offline"}).communicate(timeout=400)
    assert heard(said) == ["W&B gets nothing more of this run (division by zero)", "done True"]


def test_disabled_is_respected(tmp_path: Path) -> None:
    said, _ = background(tmp_path, "none", "go on", {"WANDB_MODE": "disabled"}).communicate(timeout=400)
    assert heard(said) == ["done True"] and not list((tmp_path / "here").rglob("*.wandb"))


def test_a_run_that_fails_is_a_failed_one_there(tmp_path: Path, warm_training: WarmPython, service: Service) -> None:
    write_photos(tmp_path / "photos")
    failing = ("+callbacks.misbehave._target_=support.misbehave.Misbehave", "+callbacks.misbehave.how=raise")
    done = train(warm_training, tmp_path, "recipe=mild", "loggers=[wandb]", *failing, **service.environ())
    assert done.returncode == 1 and "raised as told" in done.stderr
    ((name, _),) = folders_of(tmp_path / "runs").items()
    assert service.runs[name].exit_code == 1
    assert [row[metric_names.BATCH] for row in service.runs[name].rows("history") if metric_names.BATCH in row] == [
        1,
        2,
        3,
    ]


def test_online_with_a_service_that_stalls_a_run_trains_as_ever(tmp_path: Path, warm_training: WarmPython) -> None:
    write_photos(tmp_path / "photos")
    patience = "loggers.wandb.init_seconds=3"
    with wandb_service.running() as own:
        own.stalls.set()
        done = train(warm_training, tmp_path, "recipe=mild", "loggers=[progress,wandb]", patience, **own.environ())
    assert done.returncode == 0 and "W&B is recorded offline (" in done.stdout
    ((_, folder),) = folders_of(tmp_path / "runs").items()
    with wandb_service.running() as well:
        wandb_service.sync(well, sorted(folder.glob("wandb/offline-run-*")), tmp_path)
        assert well.runs[folder.name].summary["result"] == read_json(folder / "result.json")
