"""What is checked of FFCV files before they are used, and what ``verify=true`` finds in them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet_exp.core.errors import RequestError
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.ffcv import manifest as ffcv_manifest
from resnet_exp.data.ffcv.files import FFCVFiles
from resnet_exp.data.images import image_tree
from support.conversions import (
    RunConvert,
    damage,
    many_photos,
    picture,
)
from support.ffcv_files import SETTINGS, convert
from support.photos import PhotoTree

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("leaves_nothing")]


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
    known = {name for name, *_ in manifest.source.sampled}
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
    "a photograph": (lambda _: b"\xff\xd8\xff\xe0" * 900, "it is not an FFCV file of format 2"),
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
