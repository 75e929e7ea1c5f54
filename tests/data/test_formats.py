"""The loader contract: every image once, the same images whoever loads them, pixels as torchvision makes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.datasets import folder as torchvision_folder

from resnet_exp.data import ffcv, imagefolder, synthetic
from resnet_exp.data.contract import Split
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.ffcv.files import FFCVFiles
from resnet_exp.data.images import image_layouts, image_tree, shipped

pytestmark = pytest.mark.usefixtures("compiled")

FILES = {
    "train_file": None,
    "val_file": None,
    "write_mode": "proportion",
    "max_resolution": 500,
    "compress_probability": 0.5,
    "jpeg_quality": 90,
}


@pytest.fixture(scope="module")
def digits_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    cache = str(tmp_path_factory.mktemp("cache"))
    shipped.DIGITS.prepare(cache, lambda _: None)
    return str(shipped.DIGITS.folder_below(cache))


def make_split(root: str, **changes: Any) -> Split:
    split = Split(
        train=True, root=root, classes=10, batch_size=16, crop=24, resize=32, crop_scale=(0.35, 1.0),
        crop_ratio=(3 / 4, 4 / 3), hflip=True, seed=5, rank=0, world_size=1, num_workers=0, prefetch_factor=2,
        on_gpu=False,
    )  # fmt: skip
    return replace(split, **changes)


def test_digits_are_all_there_and_split_as_documented(digits_dir: str) -> None:
    counts = {name: sum(1 for _ in image_tree.images(Path(digits_dir) / name)) for name in image_tree.SPLITS}
    assert counts == {"train": 1437, "val": 360}
    assert image_tree.check_tree(digits_dir, 64, 2) == [str(digit) for digit in range(10)]
    numbers = [int(Path(path).stem) for path in image_tree.images(Path(digits_dir) / "val")]
    assert sorted(numbers) == list(range(0, 1797, 5))


def test_the_front_finds_the_files_that_torchvision_finds() -> None:
    assert sorted(image_layouts.IMAGE_SUFFIXES) == sorted([*torchvision_folder.IMG_EXTENSIONS, ".jfif"])


def test_the_writer_takes_images_in_torchvisions_order(digits_dir: str) -> None:
    expected = torchvision_folder.ImageFolder(f"{digits_dir}/train").samples
    assert image_tree.samples(Path(digits_dir) / "train") == expected


def epoch_of(loader: Any, epoch: int, batch: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    loader.seek(epoch, batch)
    return [(images.clone(), labels.clone()) for images, labels in loader]


def test_image_files_do_not_depend_on_the_workers(digits_dir: str) -> None:
    alone = epoch_of(imagefolder.make_loader(make_split(digits_dir)), epoch=3)
    helped = epoch_of(imagefolder.make_loader(make_split(digits_dir, num_workers=2)), epoch=3)
    other = epoch_of(imagefolder.make_loader(make_split(digits_dir)), epoch=4)
    assert len(alone) == len(helped) == 1437 // 16
    for (images, labels), (images2, labels2) in zip(alone, helped, strict=True):
        assert torch.equal(images, images2)
        assert torch.equal(labels, labels2)
    assert not torch.equal(alone[0][0], other[0][0])


def test_an_epoch_can_begin_in_its_middle(digits_dir: str) -> None:
    whole = epoch_of(imagefolder.make_loader(make_split(digits_dir)), epoch=1)
    loader = imagefolder.make_loader(make_split(digits_dir))
    rest = epoch_of(loader, epoch=1, batch=80)
    assert len(rest) == len(whole) - 80
    assert all(torch.equal(ours[0], theirs[0]) for ours, theirs in zip(rest, whole[80:], strict=True))
    assert len(epoch_of(loader, epoch=2)) == len(whole), "only the first epoch after a seek is short"


@pytest.mark.parametrize("make", [imagefolder.make_loader, None], ids=["imagefolder", "ffcv"])
def test_evaluation_sees_every_image_once(make: Any, digits_dir: str, tmp_path: Path) -> None:
    split = make_split(digits_dir, train=False, batch_size=50, crop=32)
    loader = make(split) if make else make_ffcv(split, tmp_path)
    labels = torch.cat([labels.clone() for _, labels in loader])
    again = torch.cat([labels.clone() for _, labels in loader])
    expected = [int(Path(path).parent.name) for path in image_tree.images(Path(digits_dir) / "val")]
    assert sorted(labels.tolist()) == sorted(again.tolist()) == sorted(expected)
    assert loader.images == 360


def make_ffcv(split: Split, cache: Path) -> Any:
    files = {**FILES, "cache_dir": str(cache)}
    FFCVFiles(**files).prepare(split.root, ConversionOptions(2, lambda _: None))
    return ffcv.make_loader(split, os_cache=True, **files)


def test_ffcv_holds_the_same_images(digits_dir: str, tmp_path: Path) -> None:
    split = make_split(digits_dir, train=False, crop=32, batch_size=360)
    files = {"write_mode": "raw", "cache_dir": str(tmp_path)}
    FFCVFiles(**{**FILES, **files}).prepare(digits_dir, ConversionOptions(1, lambda _: None))
    # More workers than any machine has cores: as many threads as there can be.
    crowded = replace(split, num_workers=4096)
    ((ours, our_labels),) = list(ffcv.make_loader(crowded, os_cache=True, **{**FILES, **files}))
    ((theirs, their_labels),) = list(imagefolder.make_loader(split))
    assert torch.equal(our_labels, their_labels)
    assert ours.dtype == torch.uint8
    assert ours.shape == theirs.shape == (360, 3, 32, 32)
    assert torch.equal(ours, theirs)


def test_a_dataset_can_be_converted_ahead(tmp_path: Path, run_cli: Any, photo_tree: Any) -> None:
    tree_dir = photo_tree()
    where = ["dataset=imagefolder", f"dataset.dir={tree_dir}", f"data.cache_dir={tmp_path / 'cache'}"]
    done = run_cli(*where, module="resnet_exp.convert")
    assert done.returncode == 0, done.stderr
    named = dict(line.split("  ")[0].split("=") for line in done.stdout.splitlines() if line.startswith("data.loader."))
    assert sorted(named) == ["data.loader.train_file", "data.loader.val_file"]
    split = make_split(str(tree_dir), train=False, batch_size=8, crop=32, resize=40)
    files = {**FILES, "val_file": named["data.loader.val_file"], "cache_dir": "unused"}
    loader = ffcv.make_loader(split, os_cache=True, **files)
    assert sorted(torch.cat([labels.clone() for _, labels in loader]).tolist()) == [0] * 4 + [1] * 4
    refused = run_cli("recipe=hot", module="resnet_exp.convert")
    assert (refused.returncode, refused.stderr) == (
        2,
        "data=imagefolder is not converted; use data=ffcv or data=streaming\n",
    )


def test_ffcv_files_are_written_once_and_anew_when_the_folder_changes(digits_dir: str, tmp_path: Path) -> None:
    settings = {**FILES, "cache_dir": str(tmp_path / "cache")}
    said: list[str] = []
    first = FFCVFiles(**settings).prepare(digits_dir, ConversionOptions(2, said.append))
    stamps = [path.stat().st_mtime_ns for path in first]
    assert FFCVFiles(**settings).prepare(digits_dir, ConversionOptions(2, said.append)) == first
    assert [path.stat().st_mtime_ns for path in first] == stamps
    assert len(said) == 1
    other = replace(FFCVFiles(**settings), jpeg_quality=80).place_of(digits_dir, "val")
    assert other not in first
    assert not list((tmp_path / "cache").rglob("*.partial"))


def test_synthetic_data_has_the_size_that_it_pretends_to() -> None:
    split = make_split("", batch_size=8, crop=20)
    loader = synthetic.make_loader(split, train_images=100, val_images=21, distinct_images=4)
    assert [tuple(images.shape) for images, _ in loader] == [(8, 3, 20, 20)] * 12
    evaluation = synthetic.make_loader(replace(split, train=False), 100, 21, 4)
    assert [len(labels) for _, labels in evaluation] == [8, 8, 5]
