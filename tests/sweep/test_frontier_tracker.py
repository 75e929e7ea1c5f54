"""The frontier of a sweep on Weights & Biases: what its parent has logged, by the real client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from resnet_exp.config.checks.values import WANDB
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import EXIT_DONE, EXIT_FAILED
from resnet_exp.loggers import metric_names
from resnet_exp.reporting import sweep_frontier
from resnet_exp.results import collect, frontier
from resnet_exp.runs import sweep_manifest
from resnet_exp.runs.sweep_manifest import SweepManifest, SweepRun
from resnet_exp.sweep.launchers.basic import in_turn
from resnet_exp.sweep.launchers.frontier_tracker import folder_of, tracked
from resnet_exp.sweep.launchers.watch import watch_sweep
from resnet_exp.sweep.planned import PlannedRun, Sweep
from support import wandb_service
from support.commands import TINY, command
from support.paths import TESTS
from support.photos import write_photos
from support.run_folders import write_run
from support.slurm_cluster import SlurmCluster
from support.slurm_scenario import PLACE
from support.trained_sweep import NAME, TrainedSweep
from support.wandb_service import Service, running

ID = "sweep-lengths"
PICTURES = f"wandb/*run-*-{ID}/files/media/images/frontier/picture_*.png"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    """W&B on this machine, which the environment leads to."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with running() as served:
        for name, value in served.environ().items():
            monkeypatch.setenv(name, value)
        yield served
        end_client()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No W&B: runs are recorded in files."""
    for name, value in {"HOME": str(tmp_path), "WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}.items():
        monkeypatch.setenv(name, value)
    yield
    end_client()


def end_client() -> None:
    """Have the client read the environment anew in the next test: it does so once in a process."""
    import wandb

    wandb.teardown()


def sweep_of(runs_dir: Path, *run_ids: str, **settings: Any) -> Sweep:
    """A sweep of runs that log to W&B, with its manifest."""
    logger = {"_target_": WANDB, "project": "tests", "entity": None, "init_seconds": 100, "finish_seconds": 100}
    loggers = {"progress": {"_target_": "any.Progress"}, "wandb": {**logger, "artifacts": [], **settings}}
    runs = [PlannedRun(RunConfig(run_id=run_id, runs_dir=str(runs_dir), loggers=loggers), (), ()) for run_id in run_ids]
    sweep_manifest.write_manifest(runs_dir, SweepManifest(sweep="lengths", runs=tuple(map(SweepRun, run_ids))))
    return Sweep("lengths", runs_dir, runs, list(run_ids))


def counts(service: Service) -> list[int]:
    """How many runs had ended at each picture."""
    return [row[metric_names.FRONTIER_RUNS] for run in list(service.runs.values()) for row in run.rows("history")]


def until(holds: Callable[[], bool]) -> None:
    """Wait for what comes in its own time."""
    give_up = time.monotonic() + 100
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.1)


def pictures(runs_dir: Path) -> list[Path]:
    """What has been logged, sent or not."""
    return list(folder_of(runs_dir, "lengths").glob(PICTURES))


def write_two(runs_dir: Path) -> None:
    write_run(runs_dir, "short", top1=0.7, timing__train_seconds=800.0, group="s", ssr=0.18)
    write_run(runs_dir, "slow", top1=0.69, timing__train_seconds=900.0, group="x", recipe="hot")


def test_rows_of_the_table(tmp_path: Path) -> None:
    write_two(tmp_path)
    for seed, top1 in ((17, 0.76), (18, 0.77)):
        write_run(tmp_path, f"long-{seed}", top1=top1, seed=seed, group="l", timing__train_seconds=1600.0 + seed)
    unpriced = {"hardware__usd_per_node_hour": None, "hardware__price_date": None}
    write_run(tmp_path, "gift", top1=0.71, timing__train_seconds=1000.0, group="g", **unpriced)
    rows = sweep_frontier.frontier_rows(frontier.aggregate(collect.collect_runs([tmp_path]).runs))
    found = [dict(zip(sweep_frontier.COLUMNS, row, strict=True)) for row in rows]
    shown = [(row["recipe"], row["fastest"], row["cheapest"], row["n"], row["train_seconds"]) for row in found]
    assert shown == [
        ("mild", True, True, 1, 800.0),
        ("hot", False, False, 1, 900.0),
        ("mild", True, False, 1, 1000.0),
        ("mild", True, True, 2, 1617.5),
    ]
    long, gift = found[3], found[2]
    assert long["top1"] == pytest.approx(0.765) and long["top1 ±"] == pytest.approx(0.005)
    assert long["cost_usd"] == pytest.approx(21.957642 * 1617.5 / 3600)
    assert (gift["cost_usd"], gift["cost_usd ±"], gift["top1 ±"], gift["evaluated"]) == (
        None,
        None,
        None,
        "224 px of 232",
    )


@pytest.mark.slow
def test_the_frontier_is_logged_as_it_fills(
    tmp_path: Path, service: Service, capfd: pytest.CaptureFixture[str]
) -> None:
    sweep = sweep_of(tmp_path, "short", "slow", "late")
    with tracked(sweep, interval=0) as tracker:
        tracker.saw(0)
        assert not folder_of(tmp_path, "lengths").exists()
        write_run(tmp_path, "short", group="s")
        tracker.saw(1)
        until(lambda: counts(service) == [1])
        write_run(tmp_path, "slow", group="x")
        for _ in range(3):
            tracker.saw(2)
    assert capfd.readouterr() == ("", ""), "the client disturbs the terminal"
    assert "WANDB_SERVICE" not in os.environ, "runs that the sweep starts would log through its client"
    assert list(service.runs) == [ID] and counts(service) == [1, 2]
    run = service.runs[ID]
    assert run.exit_code == 0
    assert (run.settings["groupName"], run.settings["jobType"]) == ("lengths", metric_names.SWEEP_JOB)
    assert (run.settings["displayName"], run.settings["project"]) == ("lengths", "tests")
    table, picture = run.summary[metric_names.FRONTIER_TABLE], run.summary[metric_names.FRONTIER_PICTURE]
    assert (table["_type"], table["nrows"], table["ncols"]) == ("table-file", 2, len(sweep_frontier.COLUMNS))
    assert (picture["_type"], picture["format"]) == ("image-file", "png") and picture["width"] > 1000
    assert len([name for name in run.uploads if name.startswith("media/images/frontier/picture")]) == 2


@pytest.mark.slow
def test_runs_that_end_in_one_second_are_all_logged(tmp_path: Path, service: Service) -> None:
    sweep = sweep_of(tmp_path, *(f"run-{number}" for number in range(8)))
    with tracked(sweep, interval=0) as tracker:
        for number in range(1, 9):
            write_run(tmp_path, f"run-{number - 1}", seed=number)
            tracker.saw(number)
            until(lambda number=number: len(pictures(tmp_path)) == number)
    assert counts(service) == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.slow
def test_the_same_command_again_goes_on(tmp_path: Path, service: Service) -> None:
    sweep = sweep_of(tmp_path, "short", "late")
    for number, run_id in enumerate(("short", "late"), 1):
        write_run(tmp_path, run_id, group=run_id)
        with tracked(sweep) as tracker:
            tracker.saw(number)
    assert list(service.runs) == [ID] and counts(service) == [1, 2]


@pytest.mark.slow
def test_many_runs_that_end_at_once_are_few_pictures(tmp_path: Path, service: Service) -> None:
    run_ids = [f"run-{number}" for number in range(40)]
    sweep = sweep_of(tmp_path, *run_ids)
    with tracked(sweep) as tracker:
        for number, run_id in enumerate(run_ids, 1):
            write_run(tmp_path, run_id, seed=number)
            tracker.saw(number)
    assert counts(service)[-1] == 40 and len(counts(service)) <= 2


def test_a_sweep_without_the_logger_has_no_run(tmp_path: Path) -> None:
    write_two(tmp_path)
    with tracked(sweep_of(tmp_path, "short", "slow", _target_="any.Logger")) as tracker:
        tracker.saw(2)
    assert [path.name for path in (tmp_path / sweep_manifest.FOLDER).iterdir()] == ["lengths.json"]


@pytest.mark.slow
def test_a_service_that_stalls_leaves_it_offline(
    tmp_path: Path, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.stalls.set()
    write_two(tmp_path)
    with tracked(sweep_of(tmp_path, "short", "slow", init_seconds=3)) as tracker:
        tracker.saw(2)
        until(lambda: bool(pictures(tmp_path)))
    said = capsys.readouterr().out
    assert said.startswith("frontier of lengths: W&B is recorded offline (") and "wandb sync " in said


@pytest.mark.slow
def test_a_service_that_stalls_at_the_end_is_left(
    tmp_path: Path, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    write_two(tmp_path)
    with tracked(sweep_of(tmp_path, "short", "slow", finish_seconds=3)) as tracker:
        tracker.saw(1)
        until(lambda: counts(service) == [2])
        service.stalls.set()
        write_run(tmp_path, "late", group="l")
        tracker.saw(3)
    said = capsys.readouterr().out
    assert said.startswith("frontier of lengths: W&B has not taken everything; to upload the rest: wandb sync ")
    assert len(said.splitlines()) == 1


def test_what_goes_wrong_there_is_a_line_here(tmp_path: Path, offline: None, capfd: pytest.CaptureFixture[str]) -> None:
    sweep = sweep_of(tmp_path, "short")
    (tmp_path / sweep_manifest.FOLDER / "lengths.json").write_text("{")
    with tracked(sweep) as tracker:
        tracker.saw(1)
    said, printed = capfd.readouterr()
    assert said.startswith("frontier of lengths: W&B gets nothing more of this run (") and len(said.splitlines()) == 1
    assert "lengths.json is damaged" in said and printed == ""


def test_files_that_cannot_be_written_are_a_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path, "lengths")
    with tracked(sweep_of(tmp_path, "short")) as tracker:
        folder.touch()
        tracker.saw(1)
    said, printed = capfd.readouterr()
    assert said.startswith("frontier of lengths: W&B gets nothing more of this run (") and str(folder) in said
    assert len(said.splitlines()) == 1 and printed == ""


KILLED = """
import sys
from pathlib import Path
from test_frontier_tracker import pictures, sweep_of, until, write_two
from resnet_exp.sweep.launchers.frontier_tracker import tracked
folder = Path(sys.argv[1])
write_two(folder)
with tracked(sweep_of(folder, "short", "slow")) as tracker:
    print("wandb" in sys.modules, "matplotlib" in sys.modules, flush=True)
    tracker.saw(2)
    until(lambda: bool(pictures(folder)))
    print("logged", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.slow
def test_a_parent_that_is_killed_leaves_nothing_behind(tmp_path: Path, offline: None) -> None:
    """And it imports what it needs only when there is something to log."""
    environ = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{TESTS}"}
    words = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(words, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert [parent.stdout.readline() for _ in range(2)] == ["False False\n", "logged\n"]
        started = psutil.Process(parent.pid).children(recursive=True)
        assert started, "W&B's client has a process of its own"
        parent.kill()
    until(lambda: not any(process.is_running() for process in started))


@pytest.mark.slow
def test_runs_in_turn(tmp_path: Path, service: Service) -> None:
    """One is already done, one ends, one fails."""
    sweep = sweep_of(tmp_path, "before", "good", "bad")
    write_run(tmp_path, "before", group="b")

    def attempt(config: RunConfig) -> int:
        if config.run_id == "bad":
            return EXIT_FAILED
        write_run(tmp_path, config.folder.path.name, group="g")
        return EXIT_DONE

    assert in_turn(sweep, attempt) == EXIT_FAILED
    assert counts(service)[-1] == 2


def test_who_watches_tells_how_many_are_done(tmp_path: Path) -> None:
    """As SLURM's and the pool's parents do; also of a run that ends together with who carried it out."""
    sweep = sweep_of(tmp_path, "one", "two")
    write_run(tmp_path, "one")
    seen: list[int] = []

    def alive() -> bool:
        write_run(tmp_path, "two")
        return False

    watch_sweep(sweep, settle=0, alive=alive, saw_done=seen.append)
    assert seen == [1, 2]


def real_sweep(folder: Path, environ: dict[str, str], *words: str) -> Path:
    """Carry out a sweep of tiny runs that record W&B offline; the folder of the sweep's own W&B run."""
    photos = f"dataset.dir={write_photos(folder / 'photos')}"
    line = command(folder, *TINY, "dataset=imagefolder", photos, "loggers=[progress,wandb]", "sweep=lengths", *words)
    offline = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "HOME": str(folder)}
    done = subprocess.run(line, cwd=folder, env={**environ, **offline}, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = folder_of(folder / "runs", "lengths").glob(f"wandb/offline-run-*-{ID}")
    return found


def tables_of(folder: Path) -> list[list[dict[str, Any]]]:
    """The rows of each table that a W&B run has logged, the last one last."""
    paths = sorted(
        folder.glob("files/media/table/frontier/table_*.table.json"), key=lambda path: path.stat().st_mtime_ns
    )
    tables = [json.loads(path.read_text()) for path in paths]
    return [[dict(zip(table["columns"], row, strict=True)) for row in table["data"]] for table in tables]


@pytest.mark.slow
def test_a_real_sweep(trained_sweep: TrainedSweep) -> None:
    folder, *_ = sorted(folder_of(trained_sweep.runs, NAME).glob(f"wandb/offline-run-*-sweep-{NAME}"))
    tables = tables_of(folder)
    # Runs that differ only in the seed are one row.
    assert [row["n"] for row in tables[-1]] == [2]
    assert all(len(table) == 1 for table in tables)


@pytest.mark.soak
def test_a_real_sweep_on_slurm(tmp_path: Path, slurm: SlurmCluster, service: Service) -> None:
    """Its parent is not in the jobs: it learns from the folders of the runs that they have ended."""
    folder = real_sweep(tmp_path, slurm.env, *PLACE, "-m", "ssr=0.0112,0.0223")
    assert sorted((row["ssr"], row["n"]) for row in tables_of(folder)[-1]) == [(0.0112, 1), (0.0223, 1)]
    wandb_service.sync(service, [folder], tmp_path)
    assert list(service.runs) == [ID] and counts(service)[-1] == 2
    summary = service.runs[ID].summary
    assert (summary[metric_names.FRONTIER_RUNS], summary[metric_names.FRONTIER_TABLE]["nrows"]) == (2, 2)
    jobs = slurm.run("sacct", "-X", "-n", "-P", "-o", "State", "--name=lengths").splitlines()
    assert jobs == ["COMPLETED"] * 2
