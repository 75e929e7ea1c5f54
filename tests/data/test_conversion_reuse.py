"""Converted images are found again by the content of their folder, whatever became of its times and its place."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import write_json
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.files import ConvertedFiles
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.ffcv.files import FFCVFiles
from resnet_exp.data.images import image_tree
from resnet_exp.data.streaming.files import MDSShards
from support.loaders import file_settings, shard_settings
from support.photos import PhotoTree


@dataclass
class Converter:
    """Converts trees into one cache, and keeps what is said."""

    files: Any
    said: list[str] = field(default_factory=list[str])

    def __call__(self, root: Path) -> list[Path]:
        self.said.clear()
        return self.files.prepare(str(root), ConversionOptions(2, self.said.append))

    def all(self) -> list[Path]:
        """All conversions in the cache, by their manifests."""
        return sorted((Path(self.files.cache_dir) / self.files.kind.name).glob("*/*.json"))


@pytest.fixture
def converter(request: pytest.FixtureRequest, tmp_path: Path, photo_tree: PhotoTree) -> Converter:
    """A converter that has converted ``photos``, to shards if a test asks for them, else to FFCV files."""
    photos = photo_tree()
    if getattr(request, "param", "ffcv") == "streaming":
        files: ConvertedFiles = MDSShards(**shard_settings(tmp_path / "cache"))
    else:
        files = FFCVFiles(**{**file_settings(photos, "jpg"), "cache_dir": str(tmp_path / "cache")})
    made = Converter(files)
    made(photos)
    return made


def touch_classes(photos: Path) -> Path:
    for split in image_tree.SPLITS:
        for label in image_tree.class_names(photos / split):
            os.utime(photos / split / label)
    return photos


def touch_all(photos: Path) -> Path:
    for path in photos.rglob("*"):
        os.utime(path)
    return photos


def copy(photos: Path) -> Path:
    return shutil.copytree(photos, photos.with_name("copy"), copy_function=shutil.copyfile)


def add_litter(photos: Path) -> Path:
    (photos / "train" / "china" / "._01.jpg").write_bytes(b"no image")
    (photos / "val" / ".ipynb_checkpoints").mkdir()
    return photos


BOTH = pytest.mark.parametrize("converter", ["ffcv", "streaming"], indirect=True)


@pytest.mark.parametrize(
    ("change", "converter"),
    [
        (touch_classes, "ffcv"),
        (touch_classes, "streaming"),
        (touch_all, "ffcv"),
        (copy, "streaming"),
        (add_litter, "ffcv"),
    ],
    indirect=["converter"],
)
def test_the_same_content_is_not_converted_twice(
    change: Callable[[Path], Path], converter: Converter, tmp_path: Path
) -> None:
    before = converter.all()
    first = converter(tmp_path / "photos")
    root = change(tmp_path / "photos")
    converter.files.find_converted(str(root), converter.said.append)
    assert converter.files.verify(str(root), "train", lambda done, whole: None).images == 32, "before anything else"
    converter.said.clear()
    shutil.rmtree(converter.files._request(str(root)).work_folder)
    assert converter(root) == first and converter.all() == before
    assert [line.partition(": ")[2] for line in converter.said] == [
        f"{place} was converted from the same images" for place in first
    ]
    for split in image_tree.SPLITS:
        assert converter.files.verify(str(root), split, lambda done, whole: None).images in (32, 8)
    assert converter(root) == first and converter.said == [], "found at once"


@BOTH
def test_other_content_is_converted_and_what_it_supersedes_is_named(converter: Converter, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    old_train, old_val = converter(photos)
    shutil.copy(photos / "train" / "china" / "01.jpg", photos / "train" / "china" / "new.jpg")
    train, val = converter(photos)
    assert val == old_val and train != old_train and len(converter.all()) == 3
    assert converter.said[-1].startswith(f"note: superseded by other conversions of {photos}: {old_train} (")
    assert str(old_val) not in converter.said[-1]
    (photos / "train" / "china" / "new.jpg").unlink()
    assert converter(photos) == [old_train, old_val]
    assert converter.said[-1].startswith(f"note: superseded by other conversions of {photos}: {train} (")
    name = f"{train.name}.json"
    shutil.rmtree(train.parent)
    assert converter(photos) == [old_train, old_val] and converter.said == [], name


def test_an_image_of_the_same_size_that_was_changed_is_another(converter: Converter, tmp_path: Path) -> None:
    file = tmp_path / "photos" / "train" / "china" / "01.jpg"
    first = converter(tmp_path / "photos")
    file.write_bytes(file.read_bytes()[:-3] + b"\0\xff\xd9")
    touch_classes(tmp_path / "photos")
    assert converter(tmp_path / "photos")[0] != first[0]


def test_an_image_that_is_added_far_below_its_class_is_noticed(converter: Converter, tmp_path: Path) -> None:
    deeper = tmp_path / "photos" / "train" / "china" / "deeper"
    deeper.mkdir()
    for number in range(8):
        shutil.copy(deeper.parent / "01.jpg", deeper / f"{number}.jpg")
    assert converter(tmp_path / "photos") == converter(tmp_path / "photos")
    shutil.copy(deeper.parent / "01.jpg", deeper / "late.jpg")
    with pytest.raises(RequestError, match=r"train had 40 images when it was written, now 41; remove it to write it"):
        converter(tmp_path / "photos")


def as_earlier_versions_wrote(manifest: Path) -> None:
    content = json.loads(manifest.read_text())
    del content["seal"], content["source"]["state"]
    write_json(manifest, {**content, "seal": manifests._seal(content)})


@BOTH
def test_conversions_of_an_earlier_version_are_used(converter: Converter, tmp_path: Path) -> None:
    first, photos = converter(tmp_path / "photos"), tmp_path / "photos"
    for manifest in converter.all():
        as_earlier_versions_wrote(manifest)
    assert converter(photos) == first and converter.said == []
    assert all('"class_digests"' in manifest.read_text() for manifest in converter.all()), "completed"
    for manifest in converter.all():
        as_earlier_versions_wrote(manifest)
    touch_classes(photos)
    assert converter(photos) == first and len(converter.all()) == 2


def test_a_conversion_of_an_earlier_version_lacks_what_that_did_not_read(converter: Converter, tmp_path: Path) -> None:
    folder = tmp_path / "photos" / "train" / "china"
    times = os.stat(folder).st_atime_ns, os.stat(folder).st_mtime_ns
    for manifest in converter.all():
        as_earlier_versions_wrote(manifest)
    shutil.copy(folder / "01.jpg", folder / "late.jfif")
    os.utime(folder, ns=times)  # it was there from the beginning
    with pytest.raises(RequestError, match=r"train had 32 images when it was written, now 33; remove it to write it"):
        converter(tmp_path / "photos")
