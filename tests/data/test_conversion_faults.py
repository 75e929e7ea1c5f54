"""What goes wrong in a conversion, a row each: a converted image or a line that names the file; nothing hangs.

Every row has its own time limit, and looks for processes that it may have left.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.data import image_tree
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.ffcv import files as ffcv_files
from resnet_exp.data.ffcv import manifest as ffcv_manifest
from resnet_exp.data.ffcv.files import FFCVFiles
from support.commands import Finished, left_running
from support.conversions import WRITER, damage, many_photos, picture, processes_of, wait_for
from support.ffcv_files import SETTINGS, convert, samples_of
from support.photos import PhotoTree
from support.warm import WarmPython

pytestmark = [pytest.mark.timeout(60), pytest.mark.slow]
Change = Callable[[Path], object]
RunConvert = Callable[..., Finished]


def line_of(folder: Path, *args: str) -> list[str]:
    where = [f"dataset.dir={folder / 'photos'}", f"data.cache_dir={folder / 'cache'}"]
    return [sys.executable, "-m", "resnet_exp.convert", "dataset=imagefolder", *where, *args]


@pytest.fixture
def run_convert(warm_python: WarmPython, tmp_path: Path) -> RunConvert:
    """Convert ``photos`` of the test's folder, on the command line."""
    return lambda *args: warm_python.run(line_of(tmp_path, *args)[2:], tmp_path, timeout=50)


@pytest.fixture(autouse=True)
def _leaves_nothing(tmp_path: Path) -> Iterator[None]:
    yield
    assert left_running(tmp_path) == []


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def cut_off(file: Path) -> None:
    Image.effect_noise((200, 150), 60).convert("RGB").save(file)
    file.write_bytes(file.read_bytes()[:-3000])


def long_and_thin(file: Path) -> None:
    Image.new("RGB", (66_000, 1)).save(file, "PNG")


def float_pixels(file: Path) -> None:
    Image.fromarray(np.ones((9, 9), np.float32)).save(file, "TIFF")


def bomb(file: Path) -> None:
    """A picture of 400 million pixels in a small file."""
    Image.new("1", (20_000, 20_000)).save(file, "PNG")


def nowhere(file: Path) -> None:
    file.symlink_to("/no/such/file")


def write(content: bytes) -> Change:
    return lambda file: file.write_bytes(content)


# What is at photos/train/china/01.jpg, and what is said of it.
UNREADABLE: dict[str, tuple[Change, str]] = {
    "empty": (write(b""), "cannot be read (cannot identify image file)"),
    "text": (write(b"no image"), "cannot be read (cannot identify image file)"),
    "cut off": (cut_off, "cannot be read (image file is truncated ("),
    "cut off in its header": (write(b"\xff\xd8\xff\xe0\x00\x10JFIF"), "cannot be read"),
    "66,000 x 1": (long_and_thin, "(66000x1 pixels) is too long and thin to store; remove it from dataset.dir"),
    "float pixels": (float_pixels, "pixels of mode F have no range that is known"),
    "a bomb": (bomb, "cannot be read (Image size (400000000 pixels) exceeds limit"),
    "a link to nowhere": (nowhere, "cannot be read (No such file or directory)"),
    "a pipe": (lambda file: os.mkfifo(file), "cannot be read (not a regular file)"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_an_image_that_cannot_be_converted_is_named(
    what: str, tmp_path: Path, photo_tree: PhotoTree, run_convert: RunConvert
) -> None:
    change, line = UNREADABLE[what]
    file = photo_tree() / "train" / "china" / "01.jpg"
    file.unlink()
    change(file)
    done = run_convert()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert f"conversion of {tmp_path}/photos failed: image {file} " in done.stderr and line in done.stderr
    assert "train.ffcv" not in files_in(tmp_path) and "val.ffcv" in files_in(tmp_path)
    skipped = run_convert("on_error=skip")
    assert (skipped.returncode, skipped.stderr) == (0, "")
    (train,) = tmp_path.rglob("train.ffcv")
    assert len(samples_of(train)) == 31


CONVERTED: dict[str, tuple[int, int, tuple[int, int]]] = {
    "1 x 1": (1, 1, (1, 1)),
    "500 x 1": (500, 1, (500, 1)),
    "huge": (12_000, 9_000, (500, 375)),
    "odd": (1001, 333, (500, 166)),
}


@pytest.mark.parametrize("what", CONVERTED)
def test_an_image_of_an_odd_size_is_converted(what: str, tmp_path: Path, photo_tree: PhotoTree) -> None:
    width, height, expected = CONVERTED[what]
    picture(width, height).save(photo_tree() / "train" / "china" / "00a.jpg", quality=30)
    train, _ = convert(tmp_path / "photos", tmp_path / "cache")
    assert samples_of(train)[0][2:4] == expected


@pytest.mark.parametrize("name", ["ünïcødé 图.jpg", "a\nb.jpg", "x.jpg.png.JPEG", "\udcff.jpg", "-m.jpg", "a=b,c.jpg"])
def test_odd_names_are_converted_and_shown_in_one_line(
    name: str, tmp_path: Path, photo_tree: PhotoTree, run_convert: RunConvert
) -> None:
    photos = photo_tree()
    for folder in ("00", "01"):
        (photos / "train" / "china" / folder).mkdir()
        picture(20, 10).save(os.fsencode(photos / "train" / "china" / folder / name).decode(errors="surrogateescape"))
    train, _ = convert(photos, tmp_path / "cache")
    assert len(samples_of(train)) == 34, "the same name in two folders is two images"
    (photos / "train" / "china" / "01" / name).write_bytes(b"")
    (photos / "train" / "china" / "new").touch()
    done = run_convert()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "cannot identify image file" in done.stderr and "/train/china/01/" in done.stderr


def test_a_class_without_images_is_refused(tmp_path: Path, photo_tree: PhotoTree, run_convert: RunConvert) -> None:
    for split in image_tree.SPLITS:
        (photo_tree() / split / "dog").mkdir()
    done = run_convert()
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{tmp_path}/photos/train/dog holds no images" in done.stderr


def test_a_class_of_which_nothing_can_be_converted_stops_even_skipping(
    tmp_path: Path, photo_tree: PhotoTree, run_convert: RunConvert
) -> None:
    for file in (photo_tree() / "val" / "china").iterdir():
        file.write_bytes(b"")
    done = run_convert("on_error=skip")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"of {tmp_path}/photos/val/china no image can be converted" in done.stderr


def test_a_folder_that_holds_itself_is_named(tmp_path: Path, photo_tree: PhotoTree, run_convert: RunConvert) -> None:
    loop = photo_tree() / "train" / "china" / "zz"
    loop.symlink_to(loop.parent)
    done = run_convert()
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{loop} is a link to a folder that holds it" in done.stderr


def test_a_folder_that_is_linked_twice_is_converted_twice(tmp_path: Path, photo_tree: PhotoTree) -> None:
    (photo_tree() / "train" / "china" / "zz").symlink_to(tmp_path / "photos" / "val" / "china")
    train, _ = convert(tmp_path / "photos", tmp_path / "cache")
    assert len(samples_of(train)) == 36


def _without_rights() -> None:
    """Root may read everything until it gives up the right to (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH)."""
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


@pytest.mark.parametrize("what", ["train/china/deeper", "train/china/01.jpg"])
def test_what_may_not_be_read_is_named(what: str, tmp_path: Path, photo_tree: PhotoTree) -> None:
    (photo_tree() / "train" / "china" / "deeper").mkdir()
    secret = tmp_path / "photos" / what
    secret.chmod(0)
    line = line_of(tmp_path)
    done = subprocess.run(
        line, cwd=tmp_path, capture_output=True, text=True, timeout=50, preexec_fn=_without_rights, check=False
    )
    secret.chmod(0o755)
    if done.returncode == 0:
        pytest.skip("nothing is kept from this user")
    assert (done.returncode, done.stderr.count("\n")) == (2 if secret.is_dir() else 1, 1), done.stderr
    assert f"{secret} cannot be read (Permission denied)" in done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a disk of a size at the test's ``cache``."""
    place = tmp_path / "cache"

    def mount(size: str) -> Path:
        place.mkdir()
        line = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)]
        done = subprocess.run(line, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        return place

    yield mount
    subprocess.run(["umount", str(place)], capture_output=True)


def test_a_disk_that_is_too_small_is_refused_at_once(
    tmp_path: Path, photo_tree: PhotoTree, run_convert: RunConvert, small_disk: Any
) -> None:
    photo_tree()
    cache = small_disk("20m")
    done = run_convert()
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"data.cache_dir={cache} has 21.0 MB free, the FFCV files of {tmp_path}/photos need about " in done.stderr
    assert files_in(cache) == [".lock"]


def test_a_disk_that_fills_up_is_said_and_then_it_goes_on(
    tmp_path: Path, photo_tree: PhotoTree, run_convert: RunConvert, small_disk: Any
) -> None:
    photos = photo_tree()
    # Few are large, and none of those is among every eighth that is looked at ahead: the prediction is too low.
    for number in range(6):
        picture(1600, 1067).save(photos / "train" / "flower" / f"01{number}.jpg")
    cache = small_disk("100m")
    filler = cache / "filler"
    filler.write_bytes(bytes(45 * 2**20))
    sizes = ("data.loader.write_mode=raw", "data.loader.max_resolution=1600")
    done = run_convert(*sizes)
    assert (done.returncode, done.stderr) == (
        1,
        f"conversion of {photos} failed: data.cache_dir={cache} is full; free some space, "
        "then the same command goes on\n",
    )
    assert "train.ffcv" not in files_in(cache) and "train.ffcv.json" not in files_in(cache)
    filler.unlink()
    again = run_convert(*sizes)
    assert (again.returncode, again.stderr) == (0, "")


def journaled(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.rglob("train.ffcv.partial.journal")) - 1


# The command itself, the writer, and a worker of the writer.
@pytest.mark.parametrize("victim", [-1, 0, 1])
def test_a_conversion_that_is_killed_goes_on(
    victim: int, tmp_path: Path, photo_tree: PhotoTree, run_convert: RunConvert
) -> None:
    many_photos(photo_tree())
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
        _, errors = started.communicate(timeout=20)
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
    assert "of 934 images are there from an earlier try" in again.stdout
    assert before >= 3
    (train,) = tmp_path.rglob("train.ffcv")
    whole, _ = convert(
        tmp_path / "photos", tmp_path / "another", write_mode="raw", max_resolution=400, compress_probability=0.5
    )
    assert samples_of(train) == samples_of(whole)
    assert files_in(tmp_path / "cache") == [".lock", "train.ffcv", "train.ffcv.json", "val.ffcv", "val.ffcv.json"]


def test_a_worker_that_hangs_ends_the_conversion(tmp_path: Path, photo_tree: PhotoTree) -> None:
    many_photos(photo_tree())
    content = {key: SETTINGS[key] for key in ffcv_files.KIND.content}
    places = [[str(tmp_path / name) for name in ("photos/train", "train.ffcv", "train.ffcv.partial")]]
    how = {"workers": 2, "most_skipped": 0, "patience_seconds": 1.5, "cache_dir": str(tmp_path)}
    request = {"conversion": ffcv_files.KIND.conversion, "places": places, "content": content, **how}
    line = [sys.executable, "-m", WRITER, json.dumps(request)]
    started = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: journaled(tmp_path) >= 1)
        os.kill(psutil.Process(started.pid).children()[0].pid, signal.SIGSTOP)
        _, errors = started.communicate(timeout=40)
    finally:
        started.kill()
    assert started.returncode == 1
    assert "a process of the writer said nothing for 1.5 s while it read " in errors
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
    said = [process.communicate(timeout=50) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("train.ffcv: 234 images in " in out for out, _ in said) == 1


def make_stale(train: Path, photos: Path) -> None:
    picture(30, 30).save(photos / "train" / "china" / "01.jpg")


# What is done to train.ffcv, and what of it is said when a run starts.
DAMAGED: dict[str, tuple[Callable[[Path, Path], Any], str]] = {
    "cut off": (lambda file, _: os.truncate(file, 9_000_000), "has 9,000,000 bytes, its manifest says 25,166,592"),
    "empty": (lambda file, _: os.truncate(file, 0), "has 0 bytes, its manifest says 25,166,592"),
    "a bit of its header": (lambda file, _: damage(file, 3), "is damaged: bytes 0 to 8,388,607 are not what was"),
    "a bit of its rows": (lambda file, _: damage(file, 2200), "is damaged: bytes 0 to 8,388,607 are not what was"),
    "a bit of its pages": (lambda file, _: damage(file, 2**23 + 99), "is damaged: bytes 8,388,608 to 16,777,215"),
    "a bit of its table": (lambda file, _: damage(file, 25_166_591), "is damaged: bytes 25,165,824 to 25,166,591"),
    "another file": (lambda file, _: shutil.copy(file.with_name("val.ffcv"), file), "has 16,777,408 bytes"),
    "an image that changed": (make_stale, "is stale: "),
    "its manifest cut off": (lambda file, _: os.truncate(f"{file}.json", 300), "train.ffcv.json is damaged"),
    "its manifest edited": (
        lambda file, _: manifests.path_of(file).write_text(
            manifests.path_of(file).read_text().replace('"china"', '"chima"')
        ),
        "train.ffcv.json is damaged (it is not what was sealed)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGED)
def test_a_file_that_is_not_what_was_written_is_refused(what: str, tmp_path: Path, photo_tree: PhotoTree) -> None:
    change, line = DAMAGED[what]
    photos = photo_tree()
    train, _ = convert(photos, tmp_path / "cache")
    change(train, photos)
    with pytest.raises(RequestError) as refused:
        convert(photos, tmp_path / "cache")
    assert line in str(refused.value) and str(train) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_verify_finds_a_flipped_bit_wherever_it_is(
    tmp_path: Path, photo_tree: PhotoTree, run_convert: RunConvert
) -> None:
    many_photos(photo_tree(), 100)
    raw = ("data.loader.write_mode=raw", "data.loader.max_resolution=400")
    assert run_convert(*raw).returncode == 0
    (train,) = tmp_path.rglob("train.ffcv")
    manifest = ffcv_manifest.read_manifest(train)
    assert manifest is not None and len(manifest.pages) > 3
    random = np.random.default_rng(0)
    for at in random.integers(0, manifest.file_bytes, 20).tolist():
        damage(train, at)
        with pytest.raises(manifests.ManifestMismatch, match="is damaged: bytes "):
            ffcv_manifest.check_fully(train, manifest, lambda _: None)
        damage(train, at)
    ffcv_manifest.check_fully(train, manifest, lambda _: None)
    damage(train, int(random.integers(2**23, manifest.file_bytes)))
    done = run_convert("verify=true", *raw)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"FFCV file {train} is damaged: bytes " in done.stderr and "val.ffcv: whole, 8 images" in done.stdout


def test_verify_sees_every_image_of_the_source(tmp_path: Path, photo_tree: PhotoTree, run_convert: RunConvert) -> None:
    many_photos(photo_tree(), 100)
    assert run_convert().returncode == 0
    sampled = tmp_path / "photos" / "train" / "flower"
    (train,) = tmp_path.rglob("train.ffcv")
    manifest = ffcv_manifest.read_manifest(train)
    assert manifest is not None
    known = {name for name, *_ in manifest.source["sampled"]}
    unseen = next(file for file in sorted(sampled.iterdir()) if f"flower/{file.name}" not in known)
    with unseen.open("r+b") as file:
        file.truncate(unseen.stat().st_size - 1)
    done = run_convert("verify=true")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"FFCV file {train} is stale: " in done.stderr


def test_files_of_different_classes_are_not_used_together(tmp_path: Path, photo_tree: PhotoTree) -> None:
    photos = photo_tree()
    train, _ = convert(photos, tmp_path / "cache")
    for split in image_tree.SPLITS:
        (photos / split / "flower").rename(photos / split / "tree")
    _, val = convert(photos, tmp_path / "cache")
    named = {**SETTINGS, "cache_dir": "unused", "train_file": str(train), "val_file": str(val)}
    with pytest.raises(RequestError, match="have different classes: number 1 is flower and tree"):
        FFCVFiles(**named).prepare("", ConversionOptions(1, lambda _: None))


# What a file that was written elsewhere may be.
FOREIGN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a photograph": (lambda _: b"\xff\xd8\xff\xe0" * 900, "it is no FFCV file of format 2"),
    "short": (lambda content: content[:100], "it ends after 100 bytes"),
    "half written": (lambda content: content[:16] + bytes(8) + content[24:], "it was not written to its end"),
    "cut off": (lambda content: content[:-24], "bytes, its header says "),
    "of other fields": (lambda content: content[:24] + b"\x03" + content[25:], "does not hold the two fields image"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_file_is_checked_by_its_header(what: str, tmp_path: Path, photo_tree: PhotoTree) -> None:
    change, line = FOREIGN[what]
    train, val = convert(photo_tree(), tmp_path / "cache")
    foreign = tmp_path / "foreign.ffcv"
    foreign.write_bytes(change(train.read_bytes()))
    named = {**SETTINGS, "cache_dir": "unused", "train_file": str(foreign), "val_file": str(val)}
    with pytest.raises(RequestError) as refused:
        FFCVFiles(**named).prepare("", ConversionOptions(1, lambda _: None))
    assert f"FFCV file {foreign} cannot be used: " in str(refused.value) and line in str(refused.value)
