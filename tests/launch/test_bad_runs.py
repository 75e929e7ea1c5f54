"""What goes wrong after a run has started: one line, exit code 1 and failure.json, and nothing left running."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import read_json, read_lines
from resnet_exp.runs.folder import RunFolder, acquire
from support.commands import RunCli, command, words_of
from support.conversions import many_photos
from support.paths import TESTS
from support.photos import PhotoTree

pytestmark = pytest.mark.slow
MINE = ("dataset=imagefolder", "run_id=mine")


def failure_of(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "runs" / "mine" / "failure.json").read_text())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str, str], Path]]:
    """Mount a disk of a size under a name in the test's folder."""
    mounted = []

    def mount(name: str, size: str) -> Path:
        place = tmp_path / name
        place.mkdir()
        line = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)]
        done = subprocess.run(line, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize(
    ("image", "content", "workers"),
    [("val/china/05.jpg", 500, 0), ("train/china/01.jpg", b"no image", 1), ("train/flower/02.jpg", b"", 0)],
)
def test_an_unreadable_image_is_named(image, content, workers, train_cli: RunCli, tmp_path, photo_tree, tiny):
    broken = photo_tree() / image
    broken.write_bytes(broken.read_bytes()[:content] if isinstance(content, int) else content)
    where = (f"dataset.dir={tmp_path / 'photos'}", "data=imagefolder", f"data.num_workers={workers}")
    done = train_cli(*tiny, *MINE, *where)
    why = "Truncated File Read" if isinstance(content, int) else "cannot identify image file"
    line = f"image {broken} cannot be read ({why}); repair it or remove it from dataset.dir"
    assert (done.returncode, done.stderr) == (1, f"{line}\n")
    assert failure_of(tmp_path)["error"] == line and failure_of(tmp_path)["exit_code"] == 1


def test_a_conversion_that_meets_an_unreadable_image_names_it(train_cli: RunCli, tmp_path, photo_tree, tiny):
    broken = photo_tree() / "train" / "china" / "01.jpg"
    broken.write_bytes(b"")
    done = train_cli(*tiny, *MINE, f"dataset.dir={tmp_path / 'photos'}", "data=ffcv")
    line = f"image {broken} cannot be read (cannot identify image file); repair it or remove it from dataset.dir"
    assert (done.returncode, done.stderr) == (1, f"conversion of {tmp_path}/photos failed: {line}\n")
    # val is whole; of train there is what the next try goes on from.
    unfinished = ["train.ffcv.partial", "train.ffcv.partial.journal"]
    assert files_in(tmp_path / "cache") == [".lock", *unfinished, "val.ffcv", "val.ffcv.json"]
    assert not (tmp_path / "runs" / "mine").exists()


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_conversion_that_the_disk_cannot_hold_is_not_begun(train_cli: RunCli, tmp_path, photo_tree, tiny, small_disk):
    cache = small_disk("cache", "64k")
    done = train_cli(*tiny, *MINE, f"dataset.dir={photo_tree()}", "data=ffcv")
    line = f"data.cache_dir={cache} has 65.5 kB free, the FFCV files of {tmp_path}/photos need about "
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(line) and done.stderr.endswith("; free some or set data.cache_dir=PATH\n")
    assert files_in(cache) == [".lock"]
    assert not (tmp_path / "runs" / "mine").exists()


FULL = (
    ("runs_dir", "runs_dir={} has 65.5 kB free, the run needs up to 225 MB; free some or set runs_dir=PATH\n"),
    ("data.cache_dir", "data.cache_dir={} cannot be written (No space left on device); set data.cache_dir=PATH\n"),
)


@pytest.mark.parametrize(("key", "line"), FULL)
def test_a_full_disk_is_refused_before_anything_starts(key, line, train_cli: RunCli, tmp_path, tiny, small_disk):
    place = small_disk("full", "64k")
    data = ["dataset.dir=null", "dataset=digits", "model=resnet14"]
    done = train_cli(*tiny, *MINE, "data=imagefolder", *data, f"{key}={place}")
    assert (done.returncode, done.stderr, done.stdout) == (2, line.format(place), "")
    assert not (tmp_path / "runs" / "mine").exists() and not (place / "mine").exists()
    assert [name for name in files_in(place) if not name.endswith(".lock")] == []


def gated(gate: Path) -> tuple[str, ...]:
    """The words that have a run wait at a gate from batch 5 on, for `support.misbehave`."""
    return ("+callbacks.misbehave._target_=support.misbehave.Misbehave", f"+callbacks.misbehave.gate={gate}")


def test_a_disk_that_fills_up_costs_no_checkpoint(
    train_cli: RunCli, tmp_path: Path, photo_tree, tiny, small_disk, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    runs, gate = small_disk("runs", "250m"), tmp_path / "gate"
    run = RunFolder(runs / "mine")

    def fill() -> None:
        """Have another program take the room of the second checkpoint, once there is the first, of 97 MB."""
        while not run.latest_checkpoint.exists():
            time.sleep(0.01)
        (runs / "another").write_bytes(bytes(100 * 2**20))
        gate.touch()

    threading.Thread(target=fill, daemon=True).start()
    done = train_cli(*tiny, *MINE, *gated(gate), f"dataset.dir={photo_tree()}", "data=imagefolder")
    line = f"runs_dir={runs} is full; free some space, then rerun the same command to continue from the last checkpoint"
    assert (done.returncode, done.stderr) == (1, f"{line}\n")
    failure = read_json(run.failure)
    assert failure is not None and failure["error"] == line
    assert run.latest_checkpoint.resolve().name == "ep1-ba4-rank0.pt" and zipfile.is_zipfile(run.latest_checkpoint)
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["ep1-ba4-rank0.pt", "latest-rank0.pt"]


def test_a_small_dev_shm_is_refused_before_anything_starts(tmp_path, photo_tree, tiny):
    mount = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=64k none /dev/shm && exec "$@"', "sh"]
    if subprocess.run([*mount, "true"], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    data = (f"dataset.dir={photo_tree()}", "data=imagefolder", "data.loader.decoder=pillow", "data.num_workers=2")
    done = subprocess.run(
        [*mount, *command(tmp_path, *tiny, *MINE, *data)], capture_output=True, text=True, timeout=300
    )
    line = (
        "/dev/shm has 65.5 kB free, data.num_workers=2 needs up to 123 kB; start the container with --shm-size=1g or "
        "--ipc=host, or use data.num_workers=0\n"
    )
    assert (done.returncode, done.stderr, done.stdout) == (2, line, "")
    assert not (tmp_path / "runs" / "mine").exists()


def test_a_loss_that_is_no_number_ends_the_run(train_cli: RunCli, tmp_path, photo_tree, tiny):
    data = (f"dataset.dir={photo_tree()}", "data=imagefolder")
    done = train_cli(*tiny, *MINE, *data, "optimizer.lr=1e30", "schedule.warmup=0ep")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    error = failure_of(tmp_path)["error"]
    assert done.stderr == f"{error}\n"
    assert error.startswith("loss is ") and "at epoch 0, batch " in error
    assert error.endswith("e+29); lower optimizer.lr or check the images") and "(learning rate 9." in error


def test_settings_that_only_the_worker_can_refuse_leave_no_folder(train_cli: RunCli, tmp_path, photo_tree, tiny):
    data = (f"dataset.dir={photo_tree()}", "data=imagefolder")
    done = train_cli(*tiny, *MINE, *data, "algorithms=[mixup]", "+algorithms.mixup.alhpa=0.1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "algorithms.mixup: composer.algorithms.MixUp refuses its settings" in done.stderr
    assert "'alhpa'" in done.stderr
    assert not (tmp_path / "runs" / "mine").exists()


class Started:
    """A run in the background whose processes are known."""

    def __init__(self, tmp_path: Path, *args: str) -> None:
        self.log = tmp_path / "stderr"
        with self.log.open("w") as log:
            line = command(tmp_path, *args)
            self.launcher = subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=log)

    def child(self, module: str) -> psutil.Process:
        """The process of this run that executes a module, once there is one."""

        def find() -> psutil.Process | None:
            children = psutil.Process(self.launcher.pid).children(recursive=True)
            return next((child for child in children if module in words_of(child)), None)

        return wait_for(find)


def wait_for(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """The first true value of `condition`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return value


def ended(process: psutil.Process) -> bool:
    # A process whose parent was killed may stay as a zombie where process 1 does not reap.
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def is_free(run: RunFolder) -> bool:
    try:
        os.close(acquire(run))
    except RequestError:
        return False
    return True


@pytest.mark.soak
def test_a_run_survives_a_rival_and_the_kill_of_each_of_its_processes(
    train_cli: RunCli, tmp_path, photo_tree: PhotoTree, tiny, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    gate = tmp_path / "gate"
    # The second one is slow enough to be killed before its end.
    slow = (*gated(gate), "+callbacks.misbehave.seconds=0.6")
    args = (*tiny, *MINE, *slow, f"dataset.dir={photo_tree()}", "data=imagefolder", "ssr=0.0667")  # 6 epochs
    run = RunFolder(tmp_path / "runs" / "mine")

    first = Started(tmp_path, *args)
    rank = first.child("resnet_exp.train")
    wait_for(run.latest_checkpoint.exists)
    rival = train_cli(*args)
    assert (rival.returncode, rival.stderr.count("\n")) == (2, 1)
    assert f"{run.path} is already running (by process {first.launcher.pid} on " in rival.stderr
    assert first.launcher.poll() is None and not ended(rank)

    rank.kill()
    assert first.launcher.wait(timeout=300) == 1
    failure = read_json(run.failure)
    assert failure is not None and "rank 0 was ended by SIGKILL" in failure["error"]
    assert first.log.read_text() == failure["error"] + "\n"

    gate.touch()
    second = Started(tmp_path, *args)
    rank = second.child("resnet_exp.train")
    evaluated = len(list(read_lines(run.metrics)))
    wait_for(lambda: len(list(read_lines(run.metrics))) > evaluated)
    second.launcher.kill()
    second.launcher.wait(timeout=300)
    wait_for(lambda: ended(rank))
    # The kernel frees the lock with the last thread of a process, some 100 ms after its first.
    wait_for(lambda: is_free(run))

    done = train_cli(*args)
    result = read_json(run.result)
    assert (done.returncode, done.stderr) == (0, "")
    assert result is not None and (result["epochs"], result["batches"], result["resumed"]) == (6, 24, 2)
    assert read_json(run.failure) is None
    assert [row["epoch"] for row in read_lines(run.metrics)] == [1, 2, 3, 4, 5, 6]


def test_a_conversion_does_not_outlive_its_command(tmp_path, photo_tree: PhotoTree, tiny):
    many_photos(photo_tree(), 4000)
    started = Started(tmp_path, *tiny, *MINE, f"dataset.dir={tmp_path / 'photos'}", "data=ffcv")
    writer = started.child("resnet_exp.data.writer")
    started.launcher.kill()
    started.launcher.wait(timeout=300)
    wait_for(lambda: ended(writer))
    assert [name for name in files_in(tmp_path / "cache") if name == "train.ffcv"] == []
