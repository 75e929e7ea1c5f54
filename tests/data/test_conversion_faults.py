"""What goes wrong in a conversion, a row each: a converted image or a line that names the file; nothing hangs.

Every row looks for processes that it may have left.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnet_exp.data.images import image_tree
from support.conversions import (
    RunConvert,
    files_in,
    line_of,
    picture,
)
from support.ffcv_files import convert, samples_of
from support.photos import PhotoTree

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("leaves_nothing")]
Change = Callable[[Path], object]


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
        line, cwd=tmp_path, capture_output=True, text=True, timeout=300, preexec_fn=_without_rights, check=False
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
        "then rerun the same command\n",
    )
    assert "train.ffcv" not in files_in(cache) and "train.ffcv.json" not in files_in(cache)
    filler.unlink()
    again = run_convert(*sizes)
    assert (again.returncode, again.stderr) == (0, "")
