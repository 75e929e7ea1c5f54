"""How close loaders come to Pillow on the same crops, and how many bytes they read.

Our loaders say no crops, but draw them from seed, epoch and sample: here each sample is a class of its own, so that the
label of an image says which sample it is, and its crop can be drawn again.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from data_loaders import FULL, MODES, SHARDS, ffcv_file, marked_files, ours, prepare
from loader_process import Row, command_of
from peers.passes import RATIO, SCALE
from PIL import Image

from resnet_exp.core.terminal import console
from resnet_exp.data.images import image_tree
from resnet_exp.data.kernels.crops import logarithms, random_box
from resnet_exp.data.kernels.rng import CROP, epoch_key, seed_stream
from resnet_exp.data.streaming.conversion import MIXING_SEED
from resnet_exp.data.streaming.files import MDSShards

Boxes = list[tuple[int, int, int, int]]
MOST = 128
SEED = 17


def one_class_each(root: Path, folder: Path) -> Path:
    """A folder in which some of the images of `root` are the only one of their class, as files of the same names."""
    paths = [Path(path) for path, _ in image_tree.samples(root / "train")]
    for number, path in enumerate(paths[:: -(-len(paths) // MOST)]):
        for split in ("train", "val"):
            there = folder / "photos" / split / f"{number:03d}"
            there.mkdir(parents=True)
            shutil.copyfile(path, there / path.name)
    prepare(folder / "photos")
    return folder / "photos"


def show(rows: list[Row], root: Path, sample: Path, peers: Path) -> None:
    """Print `qualities` in Markdown."""
    console.say("| loader | reads | bytes an image | a crop is made smaller | PSNR, dB |\n|" + " --- |" * 5)
    for row, size, psnr in qualities(rows, root, sample, peers):
        shown = "" if psnr is None else "same pixels" if math.isinf(psnr) else f"{psnr:.1f}"
        console.say(f"| {row.name} | {row.reads} | {size:,.0f} | {row.kernel} | {shown} |")


def qualities(rows: list[Row], root: Path, sample: Path, peers: Path) -> Iterator[tuple[Row, float, float | None]]:
    """Yield bytes an image and PSNR in dB of loaders; None where a loader takes no crops, infinite for the same pixels.

    Args:
        rows: loaders.
        root: all images.
        sample: of `one_class_each`.
        peers: the environments of the others.
    """
    paths = [path for path, _ in image_tree.samples(sample / "train")]
    whole = [Image.open(path).convert("RGB") for path in paths]
    sizes = [(image.height, image.width) for image in whole]
    for row in rows:
        if row.name.startswith(("ours, imagefolder pillow, ", "torchvision ImageFolder")):
            psnr: float | None = math.inf  # Pillow is the reference
        elif row.name.startswith("ours"):
            mode = row.reads if row.reads in MODES else "jpg" if row.reads == "shards" else None
            stored = sizes if mode is None else _stored_sizes(sample, mode)
            boxes = _boxes(stored, _mixed(len(stored)) if row.reads == "shards" else range(len(stored)))
            wanted = [_reference(*each) for each in zip(whole, boxes, stored, strict=True)]
            psnr = _psnr(_loaded(row.name, sample), wanted)
        elif row.environment and row.reads == "files":
            boxes = _boxes(sizes, range(len(sizes)))
            wanted = [_reference(*each) for each in zip(whole, boxes, sizes, strict=True)]
            psnr = _psnr(_peer_crops(row, peers, paths, boxes, sample.parent), wanted)
        else:
            psnr = None
        yield row, _bytes_read(row, root), psnr


def _mixed(images: int) -> list[int]:
    """Numbers of the images within shards, in which they lie in another order."""
    return np.argsort(np.random.default_rng(MIXING_SEED).permutation(images)).tolist()


def _boxes(sizes: list[tuple[int, int]], numbers: Iterable[int]) -> Boxes:
    """Crops of the first epoch, for images of these heights and widths and of these numbers."""
    stream, key = np.empty(1, np.uint64), epoch_key(SEED, 0)
    boxes: Boxes = []
    for number, (height, width) in zip(numbers, sizes, strict=True):
        seed_stream(stream, key, np.uint64(number), CROP)
        boxes.append(random_box(stream, height, width, SCALE, logarithms(RATIO)))
    return boxes


def _reference(image: Image.Image, box: tuple[int, int, int, int], size: tuple[int, int]) -> Any:
    """A crop by Pillow, of the image as the file has it. `box` is one of an image of `size`."""
    top, left, high, wide = box
    if size == (image.height, image.width):
        crop = image.crop((left, top, left + wide, top + high))
        return np.asarray(crop.resize((FULL, FULL), Image.Resampling.BILINEAR))
    rows, columns = image.height / size[0], image.width / size[1]
    part = (left * columns, top * rows, (left + wide) * columns, (top + high) * rows)
    return np.asarray(image.resize((FULL, FULL), Image.Resampling.BILINEAR, part))


def _psnr(images: Any, wanted: list[Any]) -> float:
    """Of the mean squared error of all crops."""
    error = float(np.mean((np.asarray(images, np.float64) - np.asarray(wanted, np.float64)) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def _loaded(name: str, sample: Path) -> Any:
    """Images of the first epoch of one of our loaders, in the order of the samples."""
    images: dict[int, Any] = {}
    for batch, labels in ours(name, sample, flip=False, batch=1):
        images[int(labels[0])] = batch[0].permute(1, 2, 0).numpy().copy()
    return [images[number] for number in range(len(images))]


def _stored_sizes(root: Path, mode: str) -> list[tuple[int, int]]:
    samples = ffcv_file(root, mode).samples
    return list(zip(samples.height.tolist(), samples.width.tolist(), strict=True))


def _peer_crops(row: Row, peers: Path, paths: list[str], boxes: Boxes, folder: Path) -> Any:
    wanted = folder / "crops.json"
    wanted.write_text(json.dumps({"paths": paths, "boxes": boxes}))
    pixels = subprocess.run(command_of(row, peers, ("--crops", wanted)), stdout=subprocess.PIPE, check=True).stdout
    return np.frombuffer(pixels, np.uint8).reshape(len(paths), FULL, FULL, 3)


def _bytes_read(row: Row, root: Path) -> float:
    if row.reads in MODES:
        return float(ffcv_file(root, row.reads).samples.size.mean())
    images = len(image_tree.samples(root / "train"))
    folder = root / "train"
    if row.reads == "shards":
        folder = MDSShards(**SHARDS, cache_dir=str(root.parent / "cache")).place_of(str(root), "train")
    elif row.reads == "marked":
        folder = marked_files(root)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / images
