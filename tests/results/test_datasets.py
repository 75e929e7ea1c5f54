"""Which runs share a frontier: those of the same classes and images, whatever their folder is called."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resnet_exp.config.overrides import command_line
from resnet_exp.launch.dataset import data_set_of
from resnet_exp.planning import target_accuracy
from resnet_exp.results import collect, frontier
from support.configs import make_config
from support.photos import PhotoTree
from support.run_folders import write_run

ONE, OTHER = "a" * 16, "b" * 16


def write(runs: Path, name: str, folder: str = "/data/pictures", **changes: Any) -> None:
    """A finished run on an image folder."""
    command = f"resnet_exp recipe=mild dataset=imagefolder 'dataset.dir={folder}'"
    plain = {"dataset": "imagefolder", "data_set": Path(folder).name, "command": command, "group": name}
    write_run(runs, name, **{**plain, "train_images": 90, "val_images": 30, **changes})


def earlier(runs: Path, name: str, *arguments: Any, **changes: Any) -> None:
    """One of a version that recorded no data set."""
    write(runs, name, *arguments, **changes)
    path = runs / name / "result.json"
    result = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in result.items() if not key.startswith("data_set")}))


def names(runs: Path) -> dict[str, str]:
    return {run.run_id: run.dataset for run in collect.collect_runs([runs]).runs}


def test_a_data_set_is_its_images(tmp_path: Path) -> None:
    write(tmp_path, "a", data_set_fingerprint=ONE)
    write(tmp_path, "b", "/scratch/copy", data_set_fingerprint=ONE)
    write(tmp_path, "c", "/scratch/pictures", data_set_fingerprint=ONE)
    assert set(names(tmp_path).values()) == {"pictures"}, "one data set has one name: the most frequent"
    write(tmp_path, "d", "/home/pictures", data_set_fingerprint=OTHER)
    write(tmp_path, "e", "/data/animals", data_set_fingerprint="c" * 16)
    assert names(tmp_path) == {
        **dict.fromkeys("abc", "pictures (aaaaaaaa)"), "d": "pictures (bbbbbbbb)", "e": "animals",
    }  # fmt: skip
    groups = frontier.aggregate(collect.collect_runs([tmp_path]).runs)
    assert len(frontier.fronts(groups, "train_seconds")) == 3


def test_seeds_of_one_command_before_and_after_its_images_changed_are_two_configurations(tmp_path: Path) -> None:
    write(tmp_path, "a", group="g", data_set_fingerprint=ONE)
    write(tmp_path, "b", group="g", data_set_fingerprint=ONE, timing__train_seconds=9.0)
    write(tmp_path, "c", group="g", data_set_fingerprint=OTHER, timing__train_seconds=8.0)
    assert [group.n for group in frontier.aggregate(collect.collect_runs([tmp_path]).runs)] == [2, 1]


def test_results_of_an_earlier_version_are_told_apart_by_their_folder(tmp_path: Path) -> None:
    earlier(tmp_path, "a")
    earlier(tmp_path, "b", "/data/animals")
    earlier(tmp_path, "c", "/other/pictures")
    earlier(tmp_path, "d", command=None)
    assert names(tmp_path) == {
        "a": "pictures (/data/pictures)", "b": "animals", "c": "pictures (/other/pictures)", "d": "imagefolder",
    }  # fmt: skip
    write(tmp_path, "e", data_set_fingerprint=ONE)
    found = names(tmp_path)
    assert found["a"] == found["e"] == "pictures (aaaaaaaa)", "of the same folder, with as many images"
    write(tmp_path, "f", data_set_fingerprint=OTHER, train_images=91)
    assert names(tmp_path)["a"] == found["a"]
    write(tmp_path, "g", data_set_fingerprint="c" * 16)
    assert names(tmp_path)["a"] == "pictures (/data/pictures)", "of which one is not known"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "imagenet"),
        ({"data_set_fingerprint": ONE}, "imagenet"),
        ({"data_set": "imagenet", "data_set_fingerprint": ONE, "train_images": 1281000}, "imagenet"),
        ({"data_set": "imagenet", "data_set_fingerprint": ONE, "train_images": 128116}, "imagenet (aaaaaaaa)"),
        ({"dataset": "digits", "train_images": 1437}, "digits"),
        ({"dataset": "photos", "data_set": "photos", "data_set_fingerprint": ONE, "train_images": 1430}, "photos"),
        ({"dataset": "imagefolder", "data_set": "photos", "data_set_fingerprint": ONE}, "photos (aaaaaaaa)"),
        ({"data": "synthetic"}, "synthetic"),
    ],
)
def test_a_known_data_set_is_known_by_its_name_if_it_is_whole(
    changes: dict[str, Any], name: str, tmp_path: Path
) -> None:
    write_run(tmp_path, "a", command="resnet_exp dataset=imagenet dataset.dir=/data/inet", **changes)
    assert names(tmp_path) == {"a": name}


def test_a_target_is_answered_with_runs_on_the_same_images(tmp_path: Path, photo_tree: PhotoTree) -> None:
    photos, runs = photo_tree(), tmp_path / "runs"
    words = ("dataset=imagefolder", f"dataset.dir={photos}", f"runs_dir={runs}")
    config = make_config(*words, "hardware=cpu", "train_batch_size=8")
    ours = data_set_of(config).fingerprint
    write(runs, "theirs", "/data/animals", data_set_fingerprint=OTHER, top1=0.9)

    def answer(*words: str) -> str:
        return str(target_accuracy.ways_to(0.5, replace(config, command=command_line.command_of(words))))

    assert answer(*words) == f"nothing known reaches 50.00% on dataset={photos}: no run is known"
    write(runs, "copy", "/scratch/copy", data_set_fingerprint=ours, top1=0.8)
    assert "50.00% top-1 on copy, " in answer(*words) and "80.00%" in answer(*words) and "90.00%" not in answer(*words)
    assert "90.00%" in answer()
    shutil.rmtree(photos)
    write(runs, "old", str(photos), data_set_fingerprint=ours, top1=0.7)
    assert "80.00%" in answer(*words) and "90.00%" not in answer(*words), (
        "the folder is enough where there are no images"
    )
