"""The index of an image folder (``data.loader.index``): made once, checked, and worth nothing once images change."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from resnet_exp.core.errors import RequestError
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.imagefolder import index
from resnet_exp.data.imagefolder.files import IndexFiles
from resnet_exp.data.imagefolder.index_conversion import IndexConversion
from resnet_exp.data.images import image_tree
from support.commands import RunCli
from support.loaders import epoch_of, open_loader, same
from support.mixed_tree import packaged_pictures, write_mixed_tree

pytestmark = pytest.mark.usefixtures("compiled")
MOST_SHARE = 0.02
SETTINGS = ["data=imagefolder", "data.loader.decoder=compiled", "data.loader.index=true"]
Said = list[str]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photographs of a size at which crops leave out much of them."""
    root, pictures = tmp_path / "photos", packaged_pictures()
    for split, count in (("train", 6), ("val", 2)):
        for name in ("china", "flower"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                picture = pictures[name].crop((10 * number, 0, 500 + 10 * number, 375))
                picture.save(root / split / name / f"{number:02d}.jpg", quality=90)
    return root


def prepare(photos: Path, cache: Path) -> tuple[list[Path], Said]:
    said: Said = []
    places = IndexFiles(str(cache), "compiled", True).prepare(str(photos), ConversionOptions(2, said.append))
    return places, said


def refused(photos: Path, cache: Path) -> str:
    with pytest.raises(RequestError) as raised:
        prepare(photos, cache)
    return str(raised.value)


def indexed(place: Path, photos: Path, split: str) -> list[bool]:
    """Whether each image has points that are used."""
    paths = [path for path, _ in image_tree.samples(photos / split)]
    found = index.JPEGIndex(place, len(paths))
    return [found.points_of(number, memoryview(Path(path).read_bytes())).size > 0 for number, path in enumerate(paths)]


def test_batches_are_those_without_an_index_and_less_is_decoded(photos: Path, tmp_path: Path) -> None:
    some: list[dict[str, Any]] = [{}, {"crop_scale": (0.01, 0.1)}, {"train": False}]
    for changes in some:
        ours = epoch_of(open_loader("indexed", photos, **changes), 3)
        assert same(ours, epoch_of(open_loader("compiled", photos, **changes), 3))
    (train, val), _ = prepare(photos, tmp_path / "cache")
    assert all(indexed(train, photos, "train")) and all(indexed(val, photos, "val"))
    for place, split in ((train, "train"), (val, "val")):
        images = sum(image.size for image in image_tree.files(photos / split))
        assert sum(part.stat().st_size for part in place.iterdir()) <= MOST_SHARE * images


def test_every_kind_of_file_keeps_its_pixels(tmp_path: Path) -> None:
    mixed = write_mixed_tree(tmp_path / "mixed")
    ours = epoch_of(open_loader("indexed", mixed, classes=5), 0)
    assert same(ours, epoch_of(open_loader("compiled", mixed, classes=5), 0))


def test_it_is_made_once_and_found_where_the_images_are_copied_to(photos: Path, tmp_path: Path) -> None:
    first, said = prepare(photos, tmp_path / "cache")
    assert said[0].startswith("writing val and train into ")
    assert prepare(photos, tmp_path / "cache") == (first, [])
    # Times of copies are their own.
    copy = shutil.copytree(photos, tmp_path / "copy", copy_function=shutil.copyfile)
    again, said = prepare(copy, tmp_path / "cache")
    assert all("was converted from the same images" in line for line in said)
    assert [place.resolve() for place in again] == [place.resolve() for place in first]
    assert all(indexed(again[0], copy, "train"))


def test_a_changed_image_is_decoded_whole_or_refused(photos: Path, tmp_path: Path) -> None:
    (train, _), _ = prepare(photos, tmp_path / "cache")
    one, other = (photos / "train" / "china" / name for name in ("01.jpg", "02.jpg"))
    one.write_bytes(other.read_bytes())
    assert indexed(train, photos, "train") == [True, False, *[True] * 10]
    fix = "remove it to write it again"
    assert refused(photos, tmp_path / "cache") == f"index {train} is stale: {one} has changed since; {fix}"
    # One more image: the index of that split is made anew.
    shutil.copyfile(other, photos / "train" / "china" / "99.jpg")
    (again, _), said = prepare(photos, tmp_path / "cache")
    assert again != train and any(line.startswith("writing train into ") for line in said)
    assert len(indexed(again, photos, "train")) == 13


@pytest.mark.parametrize("damage", ["missing", "short", "flipped"])
def test_damage_is_named(damage: str, photos: Path, tmp_path: Path) -> None:
    (train, _), _ = prepare(photos, tmp_path / "cache")
    part = train / "part.00000.npy"
    content = bytearray(part.read_bytes())
    content[-1] ^= 1
    part.write_bytes(content if damage == "flipped" else content[:-8])
    if damage == "missing":
        part.unlink()
    what = "is damaged" if damage == "flipped" else "is missing or has another size"
    assert refused(photos, tmp_path / "cache") == f"part {part} of an index {what}; remove {train} to write it again"
    if damage != "flipped":
        with pytest.raises(RequestError, match=f"remove {train} to write it again"):
            index.JPEGIndex(train, 12)
    with pytest.raises(RequestError):
        index.JPEGIndex(train, 20)


def test_parts_of_an_interrupted_try_are_kept(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "IMAGES_A_PART", 5)
    place, unfinished = tmp_path / "train", tmp_path / "train.partial"

    def begin() -> IndexConversion:
        return IndexConversion.begin(photos / "train", place, unfinished, {})

    begin().run(2, 0, 60)
    assert sorted(path.name for path in place.iterdir()) == [f"part.0000{number}.npy" for number in range(3)]
    whole = [path.read_bytes() for path in sorted(place.iterdir())]
    # As if it had ended before the last part, and an image of the first one had changed since.
    for task, content in zip(begin().parts[:2], whole, strict=False):
        unfinished.mkdir(exist_ok=True)
        Path(task.path).write_bytes(content)
    shutil.rmtree(place)
    os.utime(photos / "train" / "china" / "00.jpg")
    again = begin()
    assert again.images_there == 5 and [task.number for task in again.tasks()] == [0, 2]
    again.run(2, 0, 60)
    assert [path.read_bytes() for path in sorted(place.iterdir())] == whole
    assert all(indexed(place, photos, "train"))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["data.loader.decoder=pillow"],
            "data.loader.index=true has no effect with data.loader.decoder=pillow, which decodes images whole; add "
            "data.loader.decoder=compiled or leave it out",
        ),
        (["data.loader.index=maybe"], "data.loader.index=maybe is unknown; use true or false"),
    ],
)
def test_settings_are_checked(words: list[str], line: str, photos: Path, tmp_path: Path, run_cli: RunCli) -> None:
    done = run_cli(
        *SETTINGS, f"dataset.dir={photos}", f"data.cache_dir={tmp_path}", *words, module="resnet_exp.convert"
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{line}\n")


def test_convert_makes_and_verifies_it(photos: Path, tmp_path: Path, run_cli: RunCli) -> None:
    where = [*SETTINGS, f"dataset.dir={photos}", f"data.cache_dir={tmp_path / 'cache'}"]
    done = run_cli(*where, module="resnet_exp.convert")
    assert (done.returncode, done.stderr) == (0, "")
    assert "data.loader.index=true  train: " in done.stdout
    verified = run_cli(*where, "verify=true", module="resnet_exp.convert")
    assert (verified.returncode, verified.stderr) == (
        0,
        "",
    ) and "train: whole, 12 images of 2 classes" in verified.stdout
    (part,) = (tmp_path / "cache").rglob("train/part.00000.npy")
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    damaged = run_cli(*where, "verify=true", module="resnet_exp.convert")
    assert damaged.returncode == 1 and f"part {part} of an index is damaged" in damaged.stderr
