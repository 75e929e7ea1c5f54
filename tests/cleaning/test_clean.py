"""``resnet_exp clean``: what it lists, what it removes, and what it never touches."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from resnet_exp import clean
from resnet_exp.cleaning import caches
from resnet_exp.cleaning.search import Found, find_items
from resnet_exp.core.machine.slurm import QueuedJob
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.ffcv.files import FFCVFiles
from resnet_exp.runs import sweep_manifest
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import read_result
from resnet_exp.runs.sweep_manifest import SweepManifest, SweepRun
from support.commands import RunCli
from support.loaders import file_settings
from support.photos import PhotoTree
from support.run_folders import write_run
from support.terminal import Terminal
from support.trained_sweep import TrainedSweep

OLD = time.time() - 40 * 86_400


@dataclass
class Queue:
    """A queue of SLURM that has one job."""

    job: str

    def in_queue(self) -> dict[str, QueuedJob]:
        return {self.job: QueuedJob("PENDING", 0)}

    def endings(self, jobs: list[str]) -> dict[str, str]:
        return {}


@contextmanager
def held(path: Path, lock: bool = True) -> Iterator[None]:
    """Another process has a file open, and by default holds its lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    locks = "fcntl.flock(file, 2); " * lock
    program = f"import fcntl; file = open({str(path)!r}, 'a'); {locks}print(flush=True); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield
        holder.communicate("\n")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches of this user below the test's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(caches.tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(caches, "KERNELS", tmp_path / "kernels")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finished(runs: Path, name: str, config: str = "") -> RunFolder:
    """A finished run that still has its checkpoints."""
    run = RunFolder(write_run(runs, name))
    run.config.write_text(f"recipe: mild\ndata:\n  cache_dir: {runs.parent / 'cache'}\n{config}")
    run.checkpoints.mkdir()
    (run.checkpoints / "ep1-ba9-rank0.pt").write_bytes(b"x" * 100_000)
    run.latest_checkpoint.symlink_to("ep1-ba9-rank0.pt")
    run.weights.write_bytes(b"weights")
    return run


def aged(path: Path, content: bytes = b"x" * 5000, when: float = OLD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (when, when))
    return path


def found_in(folder: Path, days: float = 30) -> Found:
    return find_items([folder / "runs"] if (folder / "runs").exists() else [], [folder / "cache"], days)


def test_a_finished_run_keeps_its_weights_alone(trained_sweep: TrainedSweep, hot_run: RunFolder) -> None:
    for run in map(RunFolder, (path.parent for path in trained_sweep.runs.glob("*/result.json"))):
        assert not run.checkpoints.exists() and run.weights.stat().st_size > 1e6
    assert hot_run.latest_checkpoint.exists(), "of keep_checkpoints=true"


def test_checkpoints_of_finished_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    plain, kept = finished(runs, "plain"), finished(runs, "kept", "keep_checkpoints: true\n")
    stopped = finished(runs, "stopped")
    stopped.result.unlink()
    without = finished(runs, "without")
    without.weights.unlink()
    assert clean.main(["--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "checkpoints" in said and "runs/plain/checkpoints" in said and "1 item, " in said
    assert all(run.path.name not in said for run in (kept, stopped, without))
    assert clean.main([]) == 1, "nobody can be asked"
    assert "no terminal to ask; --yes" in capsys.readouterr().err and plain.latest_checkpoint.exists()
    assert clean.main(["--yes"]) == 0
    assert not plain.checkpoints.exists() and read_result(plain) is not None and plain.weights.exists()
    assert all(run.latest_checkpoint.exists() for run in (kept, stopped, without))
    assert [path.name for path in plain.path.iterdir() if path.name.endswith(".removed")] == []
    capsys.readouterr()
    assert clean.main(["--yes"]) == 0 and capsys.readouterr().out == "nothing to remove\n"
    assert clean.main([str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_a_live_run_uses_is_left_alone(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    run, cache = finished(runs, "running"), tmp_path / "cache"
    compiled = aged(cache / "inductor" / "code.so")
    of_user = aged(tmp_path / "kernels" / "__pycache__" / "batch.nbc")
    assert {item.kind for item in found_in(tmp_path).items} == {"checkpoints", "cache"}
    with held(run.lock):
        left = found_in(tmp_path)
        assert left.items == [] and any(f"{cache}: {run.path} is " in line for line in left.left_alone)
        assert clean.main(["--yes", "--cache", str(cache)]) == 0
    assert run.latest_checkpoint.exists() and compiled.exists() and of_user.exists()


def test_what_a_queued_run_will_use_is_left_alone(tmp_path: Path) -> None:
    runs, cache = tmp_path / "runs", tmp_path / "cache"
    queued = finished(runs, "queued")
    queued.result.unlink()
    aged(cache / "inductor" / "code.so")
    aged(tmp_path / "kernels" / "__pycache__" / "batch.nbc")
    manifest = SweepManifest(sweep="one", launcher="slurm", runs=(SweepRun("queued", job="7"),))
    sweep_manifest.write_manifest(runs, manifest)
    left = find_items([runs], [cache], 0, scheduler=Queue("7"))
    assert left.items == [] and left.left_alone[0] == f"{cache}: {queued.path} is queued"
    sweep_manifest.path_of(runs, "one").unlink()
    assert len(find_items([runs], [cache], 0, scheduler=Queue("8")).items) == 2


def test_superseded_conversions(tmp_path: Path, photo_tree: PhotoTree) -> None:
    """Of real conversions: the current one stays, and so does what a copy of the images uses."""
    photos, cache = photo_tree(), tmp_path / "cache"
    files = FFCVFiles(**{**file_settings(photos, "jpg"), "cache_dir": str(cache)})

    def converted(root: Path) -> list[Path]:
        return files.prepare(str(root), ConversionOptions(1, lambda line: None))

    before = converted(photos)
    copy = Path(shutil.copytree(photos, tmp_path / "copy"))
    assert converted(copy) == before and found_in(tmp_path).items == []
    shutil.copy(next((photos / "val" / "china").iterdir()), photos / "val" / "china" / "new.jpg")
    now = converted(photos)
    assert now[0] == before[0] and now[1] != before[1], "of val alone"
    assert found_in(tmp_path).items == [], "the copy uses it"
    shutil.rmtree(copy)
    for note in (cache / "ffcv").glob(".copy-*/*"):
        note.unlink()
    (item,) = found_in(tmp_path).items
    assert (item.kind, item.path) == ("conversion", before[1]) and str(now[1]) in item.why
    with held(item.lock or tmp_path):
        assert found_in(tmp_path).items == []
        assert clean.main(["--yes", "--cache", str(cache)]) == 0 and before[1].exists()
    with held(before[1], lock=False):
        assert found_in(tmp_path).items == [], "a loader of some run reads it"
    assert clean.main(["--yes", "--cache", str(cache)]) == 0
    left = [path.name for path in before[1].parent.iterdir()]
    assert sorted(left) == ["train.ffcv", "train.ffcv.json"] and all(path.exists() for path in now)
    assert converted(photos) == now and found_in(tmp_path).items == []


def test_partial_files_and_caches_that_nobody_has_used(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    work = cache / "ffcv" / ".photos-0123abcd"
    old = [
        aged(work / "train.ffcv.partial"),
        aged(work / "train.ffcv.partial.journal"),
        aged(cache / "inductor" / "a" / "b.so"),
        aged(cache / "mds" / "bucket-0123abcd" / "train" / "index.json"),
        aged(tmp_path / "kernels" / "__pycache__" / "batch.nbi"),
        aged(tmp_path / "home" / "numba" / "kernels_0123" / "jpeg.nbc"),
        aged(tmp_path / "tmp" / f"torchinductor_{caches._user_name()}" / "c.so"),
        aged(cache / "mds" / ".train.removed" / "shard.mds"),
    ]
    new = [
        aged(cache / "ffcv" / ".birds-0123abcd" / "val.ffcv.partial", when=time.time()),
        aged(cache / "mds" / "used-0123abcd" / "train" / "index.json", when=time.time()),
        aged(cache / "ffcv" / "photos-0123abcd-0123abcd" / "train.ffcv"),
        aged(tmp_path / "kernels" / "__pycache__" / "batch.cpython-311.pyc"),
    ]
    assert len(found_in(tmp_path).items) == 7
    with held(work / ".lock"):
        assert clean.main(["--yes", "--cache", str(cache)]) == 0
        assert [path.exists() for path in old] == [True, True, *([False] * 6)]
    assert clean.main(["--yes", "--cache", str(cache), "--days", "50"]) == 0 and old[0].exists()
    assert clean.main(["--yes", "--cache", str(cache)]) == 0
    assert not any(path.exists() for path in old) and all(path.exists() for path in new)


def test_it_asks(tmp_path: Path) -> None:
    run = finished(tmp_path / "runs", "plain")
    words = [sys.executable, "-m", "resnet_exp", "clean", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache")]
    for typed, there in (("n\r", True), ("\x04", True), ("y\r", False)):  # Ctrl-D is a no
        terminal = Terminal(words)
        terminal.read_until(r"remove all of this\? \[y/N\] ")
        terminal.type(typed)
        terminal.read_until(None)
        assert terminal.exit_code() == 0 and run.checkpoints.exists() == there


def test_wrong_days_are_one_line(warm_cli: RunCli) -> None:
    done = warm_cli("--days", "soon", module="resnet_exp.clean")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "soon is not a number of days" in done.stderr
