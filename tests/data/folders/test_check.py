"""``resnet_exp data check``: each fault of a folder has its line, and what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED
from resnet_exp.data.__main__ import main
from resnet_exp.data.images.image_layouts import LAYOUT
from support.photos import PhotoTree

Check = Callable[[Path], tuple[int, dict[str, dict[str, Any]]]]


@pytest.fixture
def check(capfd: pytest.CaptureFixture[str]) -> Check:
    """Check a folder: exit code, and the findings by check and state."""

    def run(root: Path) -> tuple[int, dict[str, dict[str, Any]]]:
        code = main(["check", str(root), "--json"])
        found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        return code, {f"{one['state']} {one['check']}": one for one in found}

    return run


def spoil(root: Path, what: str) -> None:
    """Do one thing to the folder of `write_photos`."""
    china = root / "train" / "china"
    first = sorted(china.iterdir())[0]
    if what == "truncated":
        first.write_bytes(first.read_bytes()[:700])
    elif what == "empty class":
        for split in ("train", "val"):
            (root / split / "owl").mkdir()
    elif what == "one class":
        shutil.rmtree(root / "train" / "flower")
        shutil.rmtree(root / "val" / "flower")
    elif what == "only in train":
        shutil.copytree(china, root / "train" / "owl")
        for number, path in enumerate(sorted((root / "train" / "owl").iterdir())):
            Image.new("RGB", (64, 56), (number, 9, 9)).save(path)
    elif what == "in both":
        shutil.copy(first, root / "val" / "china" / "again.jpg")
    elif what == "two classes":
        shutil.copy(first, root / "train" / "flower" / "again.jpg")
    elif what == "twice":
        shutil.copy(first, china / "again.jpg")
    elif what == "no val":
        shutil.rmtree(root / "val")
    elif what == "one image":
        for path in sorted(china.iterdir())[1:]:
            path.unlink()
    elif what == "colors":
        Image.open(first).convert("L").save(first)
        Image.open(first).convert("CMYK").save(china / "cmyk.jpg")
    elif what == "sizes":
        Image.new("RGB", (16, 60)).save(china / "tiny.png")
        Image.new("RGB", (4100, 40)).save(china / "huge.png")
    elif what == "rotated":
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.open(first).save(first, exif=exif, quality=99)
    elif what == "other files":
        (china / "a.heic").touch()
        (china / ".DS_Store").touch()
    elif what == "imbalance":
        for path in sorted(china.iterdir())[3:]:
            path.unlink()


# What is done, and the finding: check and state, and a part of what is found and of what to do.
FAULTS = {
    "truncated": ("bad unreadable", "1 image cannot be decoded (", "repair or remove"),
    "empty class": ("bad empty classes", "2 class folders without images: train/owl, val/owl", "add images, or remove"),
    "one class": ("bad classes", "one class in val, china", "add the others: two or more"),
    "only in train": ("bad classes", "1 in train and not in val: owl", "give val these folders"),
    "in both": ("bad duplicates", "1 image in train and in val: top-1 would be too high: ", "remove one of each pair"),
    "two classes": ("bad duplicates", "1 image under two classes: one of them is wrong: ", "keep one of each"),
    "twice": ("note duplicates", "1 image twice in the same class: ", "keep one of each"),
    "no val": ("bad splits", "only train", "it has no val: resnet_exp data split "),
    "one image": ("bad few images", "1 class of fewer than 2 images: china", "add images, or remove the class"),
    "colors": ("note colors", "1 gray of ", "they become RGB"),
    "sizes": ("note huge images", "1 with a side above 4,000 px: ", "use data=ffcv"),
    "rotated": ("note rotated", "1 image as the camera was held: ", "mogrify -auto-orient"),
    "other files": ("note other files", "1 file not read: 1 .heic", "mogrify -format jpg"),
    "imbalance": ("note balance", "flower has 16 images, china has 3", "add images of the small classes"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_has_its_line(what: str, photo_tree: PhotoTree, check: Check) -> None:
    root = photo_tree()
    spoil(root, what)
    code, found = check(root)
    key, text, fix = FAULTS[what]
    assert text in found[key]["found"] and fix in found[key]["fix"], found
    assert code == (EXIT_FAILED if key.startswith("bad") else EXIT_DONE)
    bad = [name for name in found if name.startswith("bad")]
    assert bad == [key] * key.startswith("bad")


def test_a_good_folder(photo_tree: PhotoTree, check: Check, capfd: pytest.CaptureFixture[str]) -> None:
    root = photo_tree()
    code, found = check(root)
    line = "32 images in train, 2 classes; 8 images in val, 2 classes; shorter side 56 to 56 px, median 56"
    assert code == EXIT_DONE and found["ok images"]["found"] == line
    assert main(["check", str(root / "train")]) == EXIT_DONE
    said = capfd.readouterr().out
    assert f"-> resnet_exp data split {root / 'train'} makes train and val\n" in said
    assert said.endswith("nothing is wrong, 1 note\n")


def test_what_is_no_folder_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("empty", "flat", "beside/class"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "flat" / "1.jpg").touch()
    lines = {
        "none": "is not a folder; give one",
        "empty": f"holds no class folders; {LAYOUT}\n",
        "flat": "holds no class folders; it holds images such as 1.jpg: ",
    }
    for name, line in lines.items():
        assert main(["check", str(tmp_path / name)]) == EXIT_BAD_REQUEST
        assert line in capfd.readouterr().err
