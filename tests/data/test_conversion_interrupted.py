"""A conversion that is killed, hangs, is broken off or has a rival: it ends, and goes on from what is whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from resnet_exp.core.errors import RunFailed
from resnet_exp.data.conversion.process import WriterPlace, WriterRequest
from resnet_exp.data.ffcv import files as ffcv_files
from resnet_exp.data.ffcv import manifest as ffcv_manifest
from support.commands import left_running
from support.conversions import (
    WRITER,
    RunConvert,
    files_in,
    line_of,
    many_photos,
    picture,
    processes_of,
    wait_for,
)
from support.ffcv_files import SETTINGS, convert, samples_of
from support.photos import PhotoTree

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("leaves_nothing")]


def journaled(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.rglob("train.ffcv.partial.journal")) - 1


# The command itself, the writer, and a worker of the writer.
@pytest.mark.parametrize("victim", [1, *(pytest.param(victim, marks=pytest.mark.soak) for victim in (-1, 0))])
def test_a_conversion_that_is_killed_goes_on(
    victim: int, tmp_path: Path, photo_tree: PhotoTree, run_convert: RunConvert
) -> None:
    many_photos(photo_tree(), 500)
    quick = ("data.loader.write_mode=raw", "data.loader.max_resolution=400")
    started = subprocess.Popen(
        line_of(tmp_path, *quick), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: journaled(tmp_path) >= 3)
        others = processes_of(started, WRITER)
        assert len(others) > 1
        for process in others:  # a killed process would leave it behind
            assert "/dev/shm" not in Path(f"/proc/{process.pid}/maps").read_text()
        os.kill(started.pid if victim < 0 else others[victim].pid, signal.SIGKILL)
        _, errors = started.communicate(timeout=300)
    finally:
        started.kill()
    wait_for(lambda: left_running(tmp_path) == [])
    if victim >= 0:
        assert (started.returncode, errors.count("\n")) == (1, 1)
    if victim == 1:
        assert "a process of the writer was ended by SIGKILL (out of memory?)" in errors
    assert "train.ffcv" not in files_in(tmp_path) and "train.ffcv.json" not in files_in(tmp_path)
    before = journaled(tmp_path)
    again = run_convert(*quick)
    assert (again.returncode, again.stderr) == (0, "")
    assert "of 534 images are there from an earlier try" in again.stdout
    assert before >= 3
    (train,) = tmp_path.rglob("train.ffcv")
    whole, _ = convert(
        tmp_path / "photos", tmp_path / "another", write_mode="raw", max_resolution=400, compress_probability=0.5
    )
    assert samples_of(train) == samples_of(whole)
    assert files_in(tmp_path / "cache") == [".lock", "train.ffcv", "train.ffcv.json", "val.ffcv", "val.ffcv.json"]


def test_workers_that_hang_end_the_conversion(tmp_path: Path, photo_tree: PhotoTree) -> None:
    many_photos(photo_tree(), 1000, picture(1800, 1200))  # so many and so large that workers are in the middle of one
    content: dict[str, object] = {key: SETTINGS[key] for key in ffcv_files.KIND.content}
    place = WriterPlace(*(str(tmp_path / name) for name in ("photos/train", "train.ffcv", "train.ffcv.partial")))
    request = WriterRequest(ffcv_files.KIND.conversion, (place,), content, str(tmp_path), 2, 0, 5)
    line = [sys.executable, "-m", WRITER, json.dumps(asdict(request))]
    started = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: journaled(tmp_path) >= 1)
        workers = psutil.Process(started.pid).children()
        # Not while they wait for their next images.
        wait_for(lambda: all(worker.status() == psutil.STATUS_RUNNING for worker in workers))
        for worker in workers:
            worker.suspend()
        _, errors = started.communicate(timeout=300)
    finally:
        started.kill()
    assert started.returncode == 1
    assert "a process of the writer said nothing for 5 s while it read " in errors
    assert "train.ffcv" not in files_in(tmp_path) and "train.ffcv.partial" in files_in(tmp_path)


def interrupted(photos: Path, cache: Path) -> Path:
    """A conversion that a broken image has stopped after some pages; returns the unfinished file."""
    broken = photos / "train" / "flower" / "zz.jpg"
    broken.write_bytes(b"")
    with pytest.raises(RunFailed, match="zz"):
        convert(photos, cache, write_mode="raw", max_resolution=300)
    (unfinished,) = cache.rglob("train.ffcv.partial")
    broken.write_bytes((photos / "train" / "flower" / "01.jpg").read_bytes())
    return unfinished


def test_what_an_interrupted_conversion_left_is_checked_before_it_is_used(
    tmp_path: Path, photo_tree: PhotoTree
) -> None:
    photos = photo_tree()
    many_photos(photos, 400)
    unfinished = interrupted(photos, tmp_path / "cache")
    pages = journaled(tmp_path)
    assert pages >= 3
    with unfinished.open("r+b") as file:  # as after a power cut
        file.seek(2 * 2**23 + 77)
        file.write(b"damage")
    changed = photos / "train" / "china" / "large0001.jpg"
    changed.unlink()
    picture(80, 60).save(changed)
    (photos / "train" / "china" / "02.jpg").unlink()
    place = unfinished.stat().st_ino
    train, _ = convert(photos, tmp_path / "cache", write_mode="raw", max_resolution=300)
    assert train.stat().st_ino == place, "written anew"
    whole, _ = convert(photos, tmp_path / "another", write_mode="raw", max_resolution=300)
    assert samples_of(train) == samples_of(whole)
    manifest = ffcv_manifest.read_manifest(train)
    assert manifest is not None
    ffcv_manifest.check_fully(train, manifest, lambda _: None)


def test_two_conversions_at_once_write_once(tmp_path: Path, photo_tree: PhotoTree) -> None:
    many_photos(photo_tree(), 200)
    both = [
        subprocess.Popen(line_of(tmp_path), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("train.ffcv: 234 images in " in out for out, _ in said) == 1
