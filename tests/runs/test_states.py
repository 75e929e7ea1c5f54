"""Which state a run is in, told from folders like those that runs leave, and from what SLURM says."""

from __future__ import annotations

import fcntl
import html
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from resnet_exp import status
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine.slurm import QueuedJob, _tasks
from resnet_exp.runs import states, status_table, sweep_manifest
from resnet_exp.runs.states import RunState
from resnet_exp.runs.sweep_manifest import SweepManifest, SweepRun
from support.commands import Finished
from support.paths import ROOT
from support.run_folders import result_of
from support.warm import WarmPython

RESULT = result_of("done", epochs=3, top1=0.75, timing__train_seconds=61.0)
PROGRESS = {"done": 3, "total": 16, "unit": "epochs", "top1": 0.5, "eta_seconds": 90.0}


def write(folder: Path, **files: Any) -> Path:
    """A run folder with these JSON files; ``checkpoint=True`` adds one."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("recipe: mild\n")
    if files.pop("checkpoint", False):
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "latest-rank0.pt").write_bytes(b"")
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process holds the lock of a file."""
    program = f"import fcntl, sys; file = open({str(path)!r}, 'w'); fcntl.flock(file, 2); print(flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        yield
    finally:
        holder.communicate("\n")


def plan(runs: Path, *names: str, sweep: str = "sweep", jobs: dict[str, str] | None = None) -> None:
    listed = tuple(SweepRun(name, job=(jobs or {}).get(name)) for name in names)
    sweep_manifest.write_manifest(runs, SweepManifest(sweep=sweep, launcher="basic", runs=listed))


@dataclass
class Slurm:
    """Answers as SLURM would."""

    queue: dict[str, str] | None
    ended: dict[str, str] = field(default_factory=dict)
    began: float = 0

    def in_queue(self) -> dict[str, QueuedJob] | None:
        if self.queue is None:
            return None
        return {job: QueuedJob(state, self.began) for job, state in self.queue.items()}

    def endings(self, jobs: list[str]) -> dict[str, str]:
        return {job: self.ended[job] for job in jobs if job in self.ended}


def kinds(runs: Path, queue: dict[str, str] | None = None) -> dict[str, str]:
    return {state.run_id: state.kind for state in states.collect_states(runs, scheduler=Slurm(queue))}


def test_every_state_is_told_apart(tmp_path: Path) -> None:
    write(tmp_path / "done", result=RESULT)
    write(tmp_path / "failed", failure={"error": "ValueError: no"}, progress={**PROGRESS, "time": 0})
    write(tmp_path / "stopped", checkpoint=True, progress={**PROGRESS, "time": 0})
    write(tmp_path / "running", progress={**PROGRESS, "eta_seconds": 900.0, "time": time.time()})
    write(tmp_path / "queued")
    plan(tmp_path, "done", "failed", "stopped", "running", "queued", "missing", jobs={"queued": "7_4"})
    with locked(tmp_path / "running" / ".lock"):
        found = {state.run_id: state for state in states.collect_states(tmp_path, scheduler=Slurm({"7_4": "PENDING"}))}
    assert {name: state.kind for name, state in found.items()} == {name: name for name in found}
    assert set(found) == {"done", "failed", "stopped", "running", "queued", "missing"}
    assert (found["done"].top1, found["done"].train_seconds) == (0.75, 61.0)
    assert found["failed"].why == "ValueError: no"
    assert (found["running"].epochs, found["running"].top1) == ("3/16 epochs", 0.5)
    assert 700 < (found["running"].eta_seconds or 0) <= 900
    assert (found["queued"].job, found["queued"].why) == ("7_4", "pending")


def test_a_run_that_a_living_sweep_will_come_to_is_planned(tmp_path: Path) -> None:
    plan(tmp_path, "next")
    with locked(tmp_path / ".sweeps" / "sweep.lock"):
        assert kinds(tmp_path) == {"next": "planned"}
    assert kinds(tmp_path) == {"next": "missing"}


def test_a_job_that_vanished_is_no_queued_one(tmp_path: Path) -> None:
    write(tmp_path / "lost")
    plan(tmp_path, "lost", jobs={"lost": "7_4"})
    assert kinds(tmp_path, {"7_4": "RUNNING"}) == {"lost": "queued"}
    assert kinds(tmp_path, {"8": "RUNNING"}) == {"lost": "failed"}
    # A controller that is away says nothing about the job, its folder may.
    assert kinds(tmp_path, None) == {"lost": "queued"}
    (tmp_path / "lost" / "failure.json").write_text('{"error": "ValueError: no"}')
    assert kinds(tmp_path, None) == {"lost": "failed"}


def test_a_requeued_job_does_not_run_by_what_its_earlier_start_has_written(tmp_path: Path) -> None:
    write(tmp_path / "again", progress={**PROGRESS, "time": 1000.0})
    plan(tmp_path, "again", jobs={"again": "7_4"})
    for began, kind, why in ((900.0, "running", ""), (1100.0, "queued", "starting")):
        slurm = Slurm({"7_4": "RUNNING"}, began=began)
        (state,) = states.collect_states(tmp_path, scheduler=slurm)
        assert (state.kind, state.why) == (kind, why)


@pytest.mark.parametrize(
    ("ending", "kind"),
    [("CANCELLED by 0", "stopped"), ("OUT_OF_MEMORY 0:125", "failed"), ("REQUEUED", "queued"), ("", "failed")],
)
def test_how_a_job_ended_is_told(tmp_path: Path, ending: str, kind: str) -> None:
    write(tmp_path / "lost")
    plan(tmp_path, "lost", jobs={"lost": "7_4"})
    slurm = Slurm({}, {"7_4": ending} if ending else {})
    assert [state.kind for state in states.collect_states(tmp_path, scheduler=slurm)] == [kind]


def test_a_folder_that_is_no_run_is_none(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    assert states.collect_states(tmp_path) == []


def test_a_damaged_result_is_a_failed_run(tmp_path: Path) -> None:
    folder = write(tmp_path / "damaged")
    (folder / "result.json").write_text('{"schema": 1, "top')
    (state,) = states.collect_states(tmp_path)
    assert state.kind == "failed" and "result.json is damaged" in state.why


def test_asking_does_not_disturb_a_run_that_starts(tmp_path: Path) -> None:
    folder = write(tmp_path / "run")
    lock = folder / ".lock"
    lock.touch()
    asker = os.open(lock, os.O_RDONLY)
    fcntl.flock(asker, fcntl.LOCK_SH)
    program = (
        "from pathlib import Path; from resnet_exp.core import locks; "
        "from resnet_exp.runs.folder import RunFolder, acquire; "
        # For as long as this process may take to look away, on a busy machine.
        "assert locks.LOCK_TRIES > 1; locks.LOCK_TRIES = 600; print(flush=True); "
        f"acquire(RunFolder(Path({str(folder)!r})))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        starter.stdout.readline()
        time.sleep(0.15)
        os.close(asker)
    assert starter.returncode == 0


def test_a_run_that_was_started_otherwise_has_no_job(tmp_path: Path) -> None:
    plan(tmp_path, "run", sweep="first", jobs={"run": "7_4"})
    plan(tmp_path, "run", sweep="second")
    assert sweep_manifest.jobs(sweep_manifest.read_manifests(tmp_path)) == {}
    plan(tmp_path, "run", sweep="third", jobs={"run": "8"})
    assert sweep_manifest.jobs(sweep_manifest.read_manifests(tmp_path)) == {"run": "8"}


@dataclass
class Counting(Slurm):
    """Counts how often it is asked."""

    asked: int = 0

    def in_queue(self) -> dict[str, QueuedJob] | None:
        self.asked += 1
        return super().in_queue()


def test_the_queue_is_asked_once_and_only_for_runs_that_may_be_in_it(tmp_path: Path) -> None:
    write(tmp_path / "done", result=RESULT)
    write(tmp_path / "running")
    write(tmp_path / "stopped", checkpoint=True)
    plan(tmp_path, "done", "running", jobs={"done": "7_1", "running": "7_2"})
    slurm = Counting({"7_2": "RUNNING"})
    with locked(tmp_path / "running" / ".lock"):
        found = [state.kind for state in states.collect_states(tmp_path, scheduler=slurm)]
        assert (found, slurm.asked) == (["done", "running", "stopped"], 0)
    plan(tmp_path, "one", "two", sweep="waiting", jobs={"one": "8_0", "two": "8_1"})
    found = [state.kind for state in states.collect_states(tmp_path, scheduler=slurm)]
    assert (sorted(found), slurm.asked) == (["done", "missing", "missing", "queued", "stopped"], 1)


def test_a_controller_that_does_not_answer_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, squeue = tmp_path / "asked", tmp_path / "bin" / "squeue"
    squeue.parent.mkdir()
    squeue.write_text(f"#!/bin/sh\necho squeue >> {asked}\nexit 1\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}:/usr/bin:/bin")
    runs = tmp_path / "runs"
    write(runs / "done", result=RESULT)
    plan(runs, "done", sweep="first", jobs={"done": "7_0"})
    assert [state.why for state in states.collect_states(runs)] == [""] and not asked.exists()
    write(runs / "failed", failure={"error": "ValueError: no"})
    write(runs / "waiting")
    plan(runs, "failed", "waiting", jobs={"failed": "7_1", "waiting": "7_2"})
    assert [(state.kind, state.why) for state in states.collect_states(runs)] == [
        ("done", ""),
        ("failed", "ValueError: no (SLURM does not answer: it is not known whether it starts again)"),
        ("queued", "SLURM does not answer"),
    ]
    assert asked.read_text() == "squeue\n"


def test_tasks_that_never_started_are_found_in_the_accounting() -> None:
    assert _tasks("12_[3-5,7%2]") == ["12_3", "12_4", "12_5", "12_7"]
    assert _tasks("12_3") == ["12_3"]
    assert _tasks("12") == ["12"]


def test_status_as_a_command(tmp_path: Path, warm_python: WarmPython) -> None:
    write(tmp_path / "good", result=RESULT)
    write(tmp_path / "bad", failure={"error": "ValueError: no"})
    plan(tmp_path, "good", sweep="other")

    def status(*args: str) -> Finished:
        return warm_python.run(["resnet_exp.status", str(tmp_path), *args], tmp_path)

    done = status()
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "bad  failed  ValueError: no",
        "good  done  3 epochs  top-1 75.00%  trained 61 s",
        "2 runs: 1 done, 1 failed",
    ]
    assert status("--sweep", "other").returncode == 0
    (row,) = [json.loads(line) for line in status("--json", "--kind", "done").stdout.splitlines()]
    assert (row["run_id"], row["kind"], row["top1"]) == ("good", "done", 0.75)
    wrong = status("--sweep", "nothing")
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines() == [f"--sweep nothing: {tmp_path} has no sweep of that name; it has other"]


def test_folders_that_have_the_runs_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "all" / "my runs" / "first" / "a", result=RESULT)
    write(tmp_path / "all" / "other" / "b", result=RESULT)
    (tmp_path / "none" / "below").mkdir(parents=True)
    for folder, note in (
        ("all", "all has no runs itself, give the folders below it that have: all/other 'all/my runs/first'"),
        ("all/other/b", "all/other/b is a run; all/other is its folder of runs"),
        ("none", None),
    ):
        assert status.main([folder]) == 0
        said = capsys.readouterr()
        assert (said.out, said.err) == ("0 runs\n", f"note: {note}\n" if note else "")


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="is not a folder of runs"):
        states.collect_states(tmp_path / "nothing")


def test_status_needs_neither_torch_nor_hydra() -> None:
    program = "import sys, resnet_exp.status; sys.exit(bool({'torch', 'hydra', 'omegaconf'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], timeout=300).returncode == 0


def test_a_table_that_does_not_fit_shows_what_is_urgent(tmp_path: Path) -> None:
    found = [RunState(f"run{number}", "done", tmp_path, top1=0.5) for number in range(30)]
    found.append(RunState("broken", "failed", tmp_path, "[red]ValueError[/red]: no"))
    terminal = Console(width=100, file=io.StringIO())
    with terminal.capture() as capture:
        terminal.print(status_table.table(found, rows=5))
    text = capture.get()
    assert "broken" in text and "[red]ValueError[/red]: no" in text
    assert "31 runs: 30 done, 1 failed (26 not shown)" in text
    assert len(text.splitlines()) == 7


ID = "mild-ssr0.36-p4d.24xlarge-s{}-573b4135"
WHY = "RunFailed: loss is nan at epoch 0, batch 1 (learning rate 9.6e+29); lower optimizer.lr or check the images"


def printed(found: list[RunState], width: int, rows: int | None = None) -> list[str]:
    terminal = Console(width=width, file=io.StringIO())
    with terminal.capture() as capture:
        terminal.print(status_table.table(found, rows))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_table_of_80_columns_has_whole_names_and_whole_reasons(tmp_path: Path) -> None:
    found = [
        RunState(ID.format(17), "done", tmp_path, epochs="32", top1=0.766, train_seconds=1620),
        RunState(ID.format(18), "failed", tmp_path, WHY, "3/32 epochs"),
        RunState(ID.format(19), "queued", tmp_path, "pending"),
        RunState(ID.format(20), "queued", tmp_path, "pending"),
    ]
    lines = printed(found, 80)
    assert max(map(len, lines)) <= 80
    for state, line in zip(found, lines[1:5], strict=True):
        assert line.startswith(f"{state.run_id}  {state.kind}")
    assert " ".join(lines[5:]) == (
        f"{ID.format(18)} failed: {WHY} {ID.format(19)}, {ID.format(20)} queued: pending 4 runs: 2 queued, 1 done, 1 "
        "failed"
    )
    wide = printed(found, 200)
    assert len(wide) == 6 and wide[2].endswith(WHY)
    assert len(printed(found, 80, rows=3)) == 5


def test_a_table_stays_where_it_is_while_a_time_changes(tmp_path: Path) -> None:
    def head(eta: float, kind: str) -> str:
        return printed([RunState("run", kind, tmp_path, epochs="3/16 epochs", top1=0.5, eta_seconds=eta)], 100)[0]

    assert {head(eta, kind) for eta in (3, 99, 101, 5999, 6001) for kind in ("running", "done")} == {
        head(3, "running"),
    }


def test_the_picture_of_the_table_is_what_it_prints() -> None:
    picture = (ROOT / "docs" / "sweep.svg").read_text()
    rows: dict[float, str] = {}
    for x, y, words in re.findall(r'<text class="\S+-r\d+" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>', picture):
        rows[float(y)] = rows.get(float(y), "").ljust(round(float(x) / 12.2)) + html.unescape(words)
    shown = [row.replace("\xa0", " ").rstrip() for _, row in sorted(rows.items())]

    here = Path()
    found = [
        RunState("mild-ssr0.05-cpu-s17-130144de", "done", here, epochs="4", top1=0.1917, train_seconds=13, job="1_0"),
        RunState("hot-ssr0.05-cpu-s17-082a9ae1", "running", here, "", "3/4", 0.1, eta_seconds=3, job="2270021_1"),
        RunState("mild-ssr0.1-cpu-s17-5aa6a8d0", "queued", here, "pending", job="1_2"),
        RunState("hot-ssr0.1-cpu-s17-823fe519", "queued", here, "pending", job="1_3"),
    ]
    terminal = Console(width=112, file=io.StringIO())
    with terminal.capture() as capture:
        terminal.print(status_table.table(found))
    assert [line.rstrip() for line in capture.get().splitlines()] == shown
