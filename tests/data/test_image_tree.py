"""What counts as a class and as an image, in every format; and what is said of folders as they are downloaded."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.data import imagefolder
from resnet_exp.data.images import image_layouts, image_tree
from resnet_exp.launch.prepare import prepare_data
from support.configs import make_config
from support.ffcv_files import convert
from support.loaders import split_of
from support.photos import PhotoTree
from support.shards import prepare


def add_litter(photos: Path) -> None:
    """What notebooks, macOS, Windows, a NAS and a browser leave behind: 7 entries, and 4 files that are not read."""
    image = (photos / "train" / "china" / "01.jpg").read_bytes()
    for split in image_tree.SPLITS:
        (photos / split / ".ipynb_checkpoints").mkdir()
        (photos / split / ".ipynb_checkpoints" / "01-checkpoint.jpg").write_bytes(image)
    for folder in ("__MACOSX", "train/china/@eaDir"):
        (photos / "train" / folder.removeprefix("train/")).mkdir()
        (photos / "train" / folder.removeprefix("train/") / "01.jpg").write_bytes(image)
    for name in ("train/china/._01.jpg", "train/flower/Thumbs.db", "val/Desktop.ini"):
        (photos / name).write_bytes(b"no image")
    for name in ("train/china/a.heic", "train/china/b.AVIF", "train/flower/c.avif", "train/labels.csv"):
        (photos / name).write_bytes(b"not read")
    (photos / "train" / "china" / "02.jpg").rename(photos / "train" / "china" / "02.JFIF")


NOTES = [
    "note: dataset.dir: left out 7 hidden or system entries, such as TMP/photos/",
    "note: dataset.dir: 4 files not read: 2 .avif, 1 .csv beside the class folders, 1 .heic; images are .jpg .jpeg",
]


def test_litter_is_neither_a_class_nor_an_image_in_any_format(tmp_path: Path, photo_tree: PhotoTree) -> None:
    photos = photo_tree()
    add_litter(photos)
    files = list(image_tree.files(photos / "train"))
    assert [file.label for file in files] == [0] * 16 + [1] * 16
    assert image_tree.samples(photos / "train") == [(str(photos / "train" / file.name), file.label) for file in files]
    assert image_tree.check_tree(str(photos), 8, 2) == ["china", "flower"]
    loader = imagefolder.make_loader(split_of(photos))
    assert (loader.images, loader.dataset.classes) == (32, ["china", "flower"])  # pyright: ignore
    for convert_tree in (convert, prepare):
        train, val = convert_tree(photos, tmp_path / "cache")
        for place, images in ((train, 32), (val, 8)):
            assert f'"images": {images},' in Path(f"{place}.json").read_text()


def config_of(folder: Path, *words: str) -> RunConfig:
    where = (f"dataset.dir={folder / 'photos'}", f"data.cache_dir={folder / 'cache'}", f"runs_dir={folder / 'runs'}")
    return make_config("dataset=imagefolder", "hardware=cpu", "train_batch_size=8", *where, *words)


@pytest.mark.parametrize("data", ["imagefolder", "ffcv", "streaming"])
def test_one_note_counts_what_is_left_out(
    data: str, tmp_path: Path, photo_tree: PhotoTree, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = photo_tree()
    prepare_data(config_of(tmp_path, f"data={data}"))
    assert "note:" not in capsys.readouterr().out
    add_litter(photos)
    prepare_data(config_of(tmp_path, f"data={data}"))
    notes = [
        line for line in capsys.readouterr().out.replace(str(tmp_path), "TMP").splitlines() if "dataset.dir" in line
    ]
    assert len(notes) == 2 and all(line.startswith(note) for line, note in zip(notes, NOTES, strict=True)), notes


def test_a_folder_is_read_no_further_than_it_must(photo_tree: PhotoTree) -> None:
    entries = image_tree.images(photo_tree() / "train" / "china")
    assert next(entries).endswith(".jpg")


def flat_val(root: Path) -> None:
    (root / "val").mkdir(exist_ok=True)
    for number in range(3):
        (root / "val" / f"ILSVRC2012_val_{number:08d}.JPEG").touch()


def kaggle(root: Path) -> None:
    tree = root / "ILSVRC" / "Data" / "CLS-LOC"
    (root / "ILSVRC" / "Annotations" / "CLS-LOC" / "train" / "n01440764").mkdir(parents=True)
    (root / "ILSVRC" / "Annotations" / "CLS-LOC" / "train" / "n01440764" / "1.xml").touch()
    class_of(tree / "train")
    flat_val(tree)
    rows = [f"ILSVRC2012_val_{number:08d},n01440764 1 2 3 4 n01440764 5 6 7 8" for number in range(3)]
    (root / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows, ""]))


def class_of(split: Path) -> None:
    (split / "n01440764").mkdir(parents=True)
    (split / "n01440764" / "1.JPEG").touch()


def class_tars(root: Path) -> None:
    class_of(root / "train")
    subprocess.run(["tar", "cf", "../n01440764.tar", "1.JPEG"], cwd=root / "train" / "n01440764", check=True)
    shutil.rmtree(root / "train" / "n01440764")


def too_deep(root: Path) -> None:
    for split in image_tree.SPLITS:
        class_of(root / split)


def other_names(root: Path) -> None:
    class_of(root / "Training")
    class_of(root / "validation")


def classes_alone(root: Path) -> None:
    class_of(root)


def images_alone(root: Path) -> None:
    (root / "1.jpg").touch()


def tars(root: Path) -> None:
    for name in image_layouts.IMAGENET_TARS:
        (root / name).touch()


def archive(root: Path) -> None:
    class_of(root / "train")
    class_of(root / "val")
    subprocess.run(["tar", "czf", "photos.tar.gz", "train", "val"], cwd=root, check=True)
    shutil.rmtree(root / "train")
    shutil.rmtree(root / "val")


USE_ROOT = "TMP/my data holds train and val: use 'dataset.dir=TMP/my data'"
# What is downloaded, the dataset.dir that is given, what is said behind the fault, and whether it is a command.
LAYOUTS: dict[str, tuple[Callable[[Path], object], str, str, bool]] = {
    "ImageNet's tars": (tars, "", "it holds ImageNet's tars: resnet_exp data imagenet 'TMP/my data'", False),
    "tars of classes": (class_tars, "", "TMP/my data/train holds n01440764.tar and the like: ", True),
    "an archive": (archive, "", "it holds photos.tar.gz: ", True),
    "Kaggle's, too high": (
        kaggle, "", "TMP/my data/ILSVRC/Data/CLS-LOC holds train: use 'dataset.dir=TMP/my data/ILSVRC/Data/CLS-LOC'",
        False,
    ),
    "Kaggle's flat val": (
        kaggle, "ILSVRC/Data/CLS-LOC",
        "val holds images such as ILSVRC2012_val_00000000.JPEG: ",
        True,
    ),
    "too deep": (too_deep, "train", USE_ROOT, False),
    "much too deep": (too_deep, "train/n01440764", USE_ROOT, False),
    "other names": (other_names, "", "it calls them otherwise: ", True),
    "no splits": (
        classes_alone, "", "it holds n01440764 and no train and val: resnet_exp data split 'TMP/my data'", False,
    ),
    "no classes": (
        images_alone, "",
        "it holds images such as 1.jpg: put those of each class into a folder of its own there, "
        "then resnet_exp data split 'TMP/my data'", False,
    ),
    "no val": (
        lambda root: class_of(root / "train"), "",
        "it has no val: resnet_exp data split 'TMP/my data/train' -o 'TMP/my data-split'", False,
    ),
}  # fmt: skip


def fault_of(root: Path) -> str:
    with pytest.raises(RequestError) as refused:
        image_tree.check_tree(str(root), 1, 1)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("what", LAYOUTS)
def test_a_layout_as_it_is_downloaded_is_told_what_mends_it(what: str, tmp_path: Path) -> None:
    make, given, line, is_command = LAYOUTS[what]
    root = tmp_path / "my data"
    root.mkdir()
    make(root)
    said = fault_of(root / given).replace(str(tmp_path), "TMP")
    assert said.startswith("dataset.dir: TMP/my data") and f"; {line}" in said
    if not is_command:
        return
    command = said.replace("TMP", str(tmp_path)).partition(line.replace("TMP", str(tmp_path)))[2]
    subprocess.run(["bash", "-c", command], check=True)
    with_val = (root / given / "val").is_dir()
    assert image_tree.class_names(root / given / ("val" if with_val else "train")) == ["n01440764"]
    assert list(image_tree.images(root / given / ("val" if with_val else "train") / "n01440764"))


def test_a_flat_val_of_imagenet_is_sorted_by_the_usual_script(tmp_path: Path) -> None:
    class_of(tmp_path / "train")
    flat_val(tmp_path)
    said = fault_of(tmp_path)
    assert f"cd {shlex.quote(str(tmp_path / 'val'))} && wget -qO- {image_layouts.VALPREP} | bash" in said
