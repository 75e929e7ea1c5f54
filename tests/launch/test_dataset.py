"""What a run is trained on: ``dataset.json`` of every format, and what becomes of a run whose images have changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import read_json
from resnet_exp.data.images import fingerprint
from resnet_exp.launch.dataset import changed_data, check_same_data, data_set_of, fingerprint_of
from resnet_exp.launch.prepare import describe_data, prepare_data
from resnet_exp.launch.run import launch_run
from resnet_exp.results.datasets import KNOWN_IMAGES
from support.commands import TINY, RunCli
from support.configs import make_config
from support.photos import PhotoTree
from support.run_folders import result_of

FORMATS = ("imagefolder", "ffcv", "streaming")


def config_of(folder: Path, *words: str, photos: str = "photos") -> RunConfig:
    where = (f"dataset.dir={folder / photos}", f"data.cache_dir={folder / 'cache'}", f"runs_dir={folder / 'runs'}")
    return make_config("dataset=imagefolder", "hardware=cpu", "train_batch_size=8", *where, *words)


def begin(config: RunConfig) -> dict[str, Any]:
    """Do what is done before the ranks of a run start; returns its ``dataset.json``."""
    config.folder.path.mkdir(parents=True, exist_ok=True)
    prepare_data(config)
    describe_data(config.folder, config)
    found = read_json(config.folder.data_set)
    assert found is not None
    return found


def stop(config: RunConfig) -> None:
    """Leave what a run leaves that was stopped."""
    config.folder.checkpoints.mkdir(exist_ok=True)
    config.folder.latest_checkpoint.touch()


def finish(config: RunConfig) -> None:
    """Leave what a finished run leaves."""
    config.folder.result.write_text(json.dumps(result_of(config.folder.path.name)))


def test_every_format_records_the_same_classes_and_images(tmp_path: Path, photo_tree: PhotoTree) -> None:
    photo_tree()
    found = [begin(config_of(tmp_path, f"data={data}")) for data in FORMATS]
    assert [one["classes"] for one in found] == [["china", "flower"]] * 3
    assert found[0] == found[1] == found[2]
    assert (found[0]["name"], found[0]["train"]["class_images"], found[0]["val"]["class_images"]) == (
        *("photos", [16, 16], [4, 4]),
    )
    shutil.copytree(tmp_path / "photos", tmp_path / "copy", copy_function=shutil.copyfile)
    copied = begin(config_of(tmp_path, "data=imagefolder", photos="copy"))
    assert (copied["fingerprint"], copied["name"]) == (found[0]["fingerprint"], "copy")
    assert copied["train"]["times"] != found[0]["train"]["times"]


def test_images_in_the_box_and_synthetic_ones_have_their_classes_too(tmp_path: Path) -> None:
    where = ("hardware=cpu", f"data.cache_dir={tmp_path / 'cache'}", f"runs_dir={tmp_path / 'runs'}")
    digits = begin(make_config(*where, "data=imagefolder"))
    assert (digits["name"], digits["classes"]) == ("digits", [str(digit) for digit in range(10)])
    assert sum(digits["train"]["class_images"]) == 1437
    photos = begin(make_config(*where, "data=imagefolder", "dataset=photos"))
    assert (photos["name"], photos["classes"][:3]) == ("photos", ["astronaut", "brick", "cat"])
    assert sum(photos["train"]["class_images"]) == KNOWN_IMAGES["photos"]
    made = begin(make_config(*where, "data=synthetic", "run_id=made"))
    assert (made["name"], made["classes"], made["fingerprint"]) == ("synthetic", digits["classes"], None)


def test_files_that_are_named_are_told_apart_without_their_folder(tmp_path: Path, photo_tree: PhotoTree) -> None:
    photos = photo_tree()
    ours = begin(config_of(tmp_path, "data=ffcv"))
    named = [
        f"data.loader.{split}_file={next((tmp_path / 'cache').rglob(f'{split}.ffcv'))}" for split in ("train", "val")
    ]
    shutil.rmtree(photos)
    words = (
        "dataset=imagefolder",
        "dataset.dir=null",
        "hardware=cpu",
        "train_batch_size=8",
        f"runs_dir={tmp_path}",
        *named,
    )
    theirs = begin(make_config(*words))
    assert (theirs["fingerprint"], theirs["classes"], theirs["name"]) == (
        ours["fingerprint"],
        ["china", "flower"],
        "photos",
    )
    for manifest in (tmp_path / "cache").rglob("*.ffcv.json"):
        manifest.unlink()
    bare = begin(make_config(*words, "dataset.num_classes=2", "run_id=bare"))
    assert bare["classes"] == [] and bare["fingerprint"] not in (None, ours["fingerprint"])


def more_images(photos: Path) -> None:
    for number in range(100):
        shutil.copy(photos / "train" / "china" / "01.jpg", photos / "train" / "china" / f"more{number}.jpg")


def exchanged(photos: Path) -> None:
    """The same names, in each other's folder."""
    (photos / "train" / "china").rename(photos / "train" / "x")
    (photos / "train" / "flower").rename(photos / "train" / "china")
    (photos / "train" / "x").rename(photos / "train" / "flower")


def renamed_class(photos: Path) -> None:
    for split in ("train", "val"):
        (photos / split / "china").rename(photos / split / "temple")


def evaluated_on_others(photos: Path) -> None:
    Image.new("RGB", (64, 56)).save(photos / "val" / "flower" / "00.jpg")
    (photos / "val" / "flower" / "new").touch()
    (photos / "val" / "flower" / "new").unlink()


def same_size(photos: Path) -> None:
    """Another image in the place of one, of the same number of bytes."""
    file = photos / "train" / "china" / "01.jpg"
    file.write_bytes(file.read_bytes()[:-3] + b"\0\xff\xd9")
    os.utime(photos / "train" / "china")


CHANGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "more images": (more_images, "in train, china has 116 images, not 16"),
    "exchanged": (exchanged, "in train, images of china, flower have other names or sizes"),
    "a class renamed": (renamed_class, "the classes differ (china gone, temple new)"),
    "others in val": (evaluated_on_others, "in val, images of flower have other names or sizes"),
    "changed in place": (same_size, "TMP/photos/train/china/01.jpg has changed since"),
}
WAY_ON = "; put them back, or remove TMP/runs/mine or set runs_dir=PATH to train on these"


@pytest.mark.parametrize(
    ("what", "data"),
    [*((what, "imagefolder") for what in CHANGED), ("more images", "ffcv"), ("exchanged", "streaming")],
)
def test_other_images_are_refused_with_what_differs(
    what: str, data: str, tmp_path: Path, photo_tree: PhotoTree, capsys: pytest.CaptureFixture[str]
) -> None:
    change, difference = CHANGED[what]
    photos = photo_tree()
    config = config_of(tmp_path, f"data={data}", "run_id=mine")
    begin(config)
    finish(config)
    assert launch_run(config) == 0 and "already done" in capsys.readouterr().out
    converted = sorted((tmp_path / "cache").rglob("*.json"))
    change(photos)
    line = f"TMP/runs/mine was trained on other images: {difference}{WAY_ON}"
    with pytest.raises(RequestError) as refused:
        launch_run(config)
    assert str(refused.value).replace(str(tmp_path), "TMP") == line
    config.folder.result.unlink()
    check_same_data(config)  # neither done nor begun
    stop(config)
    with pytest.raises(RequestError) as refused:
        check_same_data(config)
    assert str(refused.value).replace(str(tmp_path), "TMP") == line
    assert sorted((tmp_path / "cache").rglob("*.json")) == converted, "nothing is converted before"


def test_every_command_that_uses_a_run_says_that_its_images_have_changed(
    tmp_path: Path, photo_tree: PhotoTree, warm_cli: RunCli
) -> None:
    photos = photo_tree()
    words = (*TINY, "recipe=mild", "dataset=imagefolder", "data=imagefolder", f"dataset.dir={photos}")
    places = (f"runs_dir={tmp_path / 'runs'}", f"data.cache_dir={tmp_path / 'cache'}")
    for seed in (1, 2):
        config = make_config(*words, *places, f"seed={seed}")
        begin(config)
        finish(config)
    more_images(photos)
    difference = "was trained on other images: in train, china has 116 images, not 16"
    for asked, others in ((("seed=1",), " "), (("-m", "seed=1,2"), " (and 1 other run) ")):
        done = warm_cli(*asked, *words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr + done.stdout
        assert f"{others}{difference}; put them back, or remove " in done.stderr
    for asked, note in (
        ((f"run_id={config.run_id}",), "state      done, "),
        (("-m", "seed=1,2"), "2 of 2 runs"),
    ):
        planned = warm_cli(*asked, *words, *places, module="resnet_exp.plan")
        assert planned.returncode == 0 and note in planned.stdout and difference in planned.stdout, planned.stdout


@pytest.mark.parametrize("data", FORMATS)
def test_copies_and_touched_files_are_the_same_images(data: str, tmp_path: Path, photo_tree: PhotoTree) -> None:
    photos = photo_tree()
    config = config_of(tmp_path, f"data={data}", "run_id=mine")
    begin(config)
    stop(config)
    photos.rename(tmp_path / "old")
    shutil.copytree(tmp_path / "old", photos, copy_function=shutil.copyfile)  # other times
    assert list(changed_data([config])) == []
    begin(config)
    shutil.rmtree(photos)
    assert list(changed_data([config])) == [], "a finished run is shown where its images are not"


def test_runs_of_an_earlier_version_and_of_the_known_data_sets_tell_nothing(
    tmp_path: Path, photo_tree: PhotoTree
) -> None:
    photos = photo_tree()
    config = config_of(tmp_path, "data=imagefolder", "run_id=mine")
    begin(config)
    stop(config)
    config.folder.data_set.unlink()
    more_images(photos)
    assert list(changed_data([config])) == []
    assert fingerprint_of(config) == data_set_of(config).fingerprint
    assert fingerprint_of(make_config("hardware=cpu")) is None


@pytest.mark.parametrize("images", [1, 3, 127, 128, 129, 1000, 5000])
def test_the_sample_is_of_the_whole_split(images: int, tmp_path: Path) -> None:
    from resnet_exp.data.images.image_tree import ImageFile

    found = [ImageFile(f"a/{number}.jpg", 0, number, 0) for number in range(images)]
    sampled = [size for _, size, *_ in fingerprint.state_of(tmp_path, ["a"], iter(found)).sampled]
    assert sampled == list(range(images)) if images <= 128 else 64 <= len(sampled) <= 128
    assert sampled == sorted(sampled) and sampled[0] == 0 and sampled[-1] >= images - 1 - images // 64


@pytest.mark.parametrize("end", [stop, finish])
def test_a_damaged_record_is_refused_not_taken_for_none(
    end: Callable[[RunConfig], None], tmp_path: Path, photo_tree: PhotoTree
) -> None:
    photo_tree()
    config = config_of(tmp_path)
    begin(config)
    end(config)
    for content in ("[[[", '{"classes": 5}'):
        config.folder.data_set.write_text(content)
        with pytest.raises(RequestError, match=r"dataset\.json.*; remove it to run again"):
            launch_run(config)
