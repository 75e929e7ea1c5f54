"""``resnet_exp data split``: train and val of links, the same ones every time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE
from resnet_exp.data.__main__ import main
from resnet_exp.data.images import image_tree
from support.configs import make_config

Split = Callable[..., tuple[int, str, str]]


@pytest.fixture
def split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Split:
    """Split in the test's folder: exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["split", *words])
        said = capfd.readouterr()
        return code, said.out, said.err

    return run


def photos(root: Path, **classes: int) -> Path:
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number:03d}.jpg").write_bytes(f"{name} {number}".encode())
    return root


def links(root: Path) -> dict[str, bytes]:
    found = [path for path in sorted(root.rglob("*")) if not path.is_dir()]
    assert all(path.is_symlink() for path in found)
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def test_each_class_is_split_by_the_fraction_and_nothing_is_copied(tmp_path: Path, split: Split) -> None:
    source = photos(tmp_path / "photos", cat=20, dog=7, owl=3)
    (source / "cat" / "Thumbs.db").touch()
    (source / "cat" / "._001.jpg").touch()
    (source / "cat" / "deeper").mkdir()
    (source / "cat" / "deeper" / "001.jpg").write_bytes(b"another")
    (source / ".ipynb_checkpoints").mkdir()
    code, said, errors = split("photos")
    assert (code, errors) == (EXIT_DONE, "")
    assert "note: dataset.dir: left out 3 hidden or system entries, such as " in said
    assert (
        "photos-split: 25 images to train and 6 to evaluate, of 3 classes; links into photos, nothing was copied\n"
        f"next: resnet_exp recipe=mild dataset.dir={tmp_path}/photos-split\n" in said
    )
    found = links(tmp_path / "photos-split")
    places = [f"{name}/{label}" for name in ("train", "val") for label in ("cat", "dog", "owl")]
    counts = {place: sum(name.startswith(f"{place}/") for name in found) for place in places}
    assert counts == {"train/cat": 17, "train/dog": 6, "train/owl": 2, "val/cat": 4, "val/dog": 1, "val/owl": 1}
    assert sum(content == b"another" for content in found.values()) == 1
    config = make_config("dataset=imagefolder", f"dataset.dir={tmp_path / 'photos-split'}", "hardware=cpu")
    assert image_tree.check_tree(config.dataset.root, 8, 2) == ["cat", "dog", "owl"]
    tmp_path.rename(tmp_path.with_name("moved"))
    assert links(tmp_path.with_name("moved") / "photos-split") == found
    tmp_path.with_name("moved").rename(tmp_path)


def test_a_seed_draws_the_same_images_and_another_one_others(tmp_path: Path, split: Split) -> None:
    source = photos(tmp_path / "photos", cat=40, dog=40)
    assert [split("photos", "-o", name)[0] for name in ("a", "b")] == [EXIT_DONE, EXIT_DONE]
    assert split("photos", "-o", "c", "--seed", "18")[0] == EXIT_DONE
    one, again, other = (links(tmp_path / name) for name in "abc")
    assert one == again and one.keys() != other.keys() and len(one) == len(other)
    (source / "cat" / "new.jpg").write_bytes(b"new")
    split("photos", "-o", "d")
    # Images that are added later leave nearly all where they were.
    assert len(one.keys() - links(tmp_path / "d").keys()) <= 1


def test_half_and_more(tmp_path: Path, split: Split) -> None:
    photos(tmp_path / "photos", cat=4, dog=10)
    assert split("photos", "--val", "0.9")[0] == EXIT_DONE
    found = links(tmp_path / "photos-split")
    # Two stay to train on.
    assert sum(name.startswith("train/cat/") for name in found) == 2
    assert sum(name.startswith("val/dog/") for name in found) == 8


def test_what_cannot_be_split_is_one_line(tmp_path: Path, split: Split) -> None:
    photos(tmp_path / "photos", cat=4, dog=2, owl=1)
    photos(tmp_path / "one", cat=4)
    photos(tmp_path / "done" / "train", cat=4)
    photos(tmp_path / "done" / "val", cat=4)
    photos(tmp_path / "half" / "train", cat=4)
    photos(tmp_path / "good", cat=4, dog=4)
    (tmp_path / "taken").mkdir()
    here = f"{tmp_path}/"
    before = sorted(os.walk(tmp_path))
    for words, line in {
        "photos": f"{here}photos: a class needs 3 images or more, 2 to train and 1 to evaluate; add some to dog (2), "
        "owl (1), or remove the folder",
        "one": f"{here}one holds 1 class folder; a classifier needs two or more: put the images of each class into a "
        "folder of its own there",
        "done": f"{here}done holds train and val already; use dataset.dir={here}done",
        "half": f"{here}half holds train already; it has no val: resnet_exp data split {here}half/train -o "
        f"{here}half-split",
        "none": f"{here}none is not a folder; give one that holds <class>/*, a folder of images for each class",
        "good -o taken": f"{here}taken exists; remove it, or use -o DIR for another folder",
        "good -o good/split": f"-o {here}good/split lies in {here}good, whose folders are classes; use -o DIR",
        "good --val 1": "--val 1 is not a fraction of the images; use one between 0 and 1, such as 0.2",
        "good --val nan": "--val nan is not a fraction of the images; use one between 0 and 1, such as 0.2",
        "good -o good/cat/000.jpg/x": f"-o {here}good/cat/000.jpg/x lies in {here}good, whose folders are classes; use "
        "-o DIR",
        "good -o photos/cat/000.jpg/x": f"-o {here}photos/cat/000.jpg/x cannot be written (File exists); use -o DIR",
    }.items():
        assert split(*words.split()) == (EXIT_BAD_REQUEST, "", f"{line}\n"), words
    assert sorted(os.walk(tmp_path)) == before
