"""The loaders that `benchmarks/data.py` compares, and the photographs that it generates for them."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from peers.passes import BATCH, RATIO, SCALE, Epoch
from peers.passes import SIDE as FULL

IMAGES, SMALL = 1024, (88, 128)
MODES = ("proportion", "raw", "jpg", "source")
FILES = {"train_file": None, "val_file": None, "max_resolution": 500, "compress_probability": 0.5, "jpeg_quality": 90}
SHARDS: dict[str, Any] = {
    **{"remote": None, "storage_options": {}, "image_column": "x", "label_column": "y", "shuffle_block": 32768},
    **{"canonical_nodes": 1, "max_resolution": 500, "jpeg_quality": 90, "images_per_shard": 64},
}
# As a part of ImageNet: row groups are mixed, and not all of them are in memory.
PARQUET: dict[str, Any] = {
    **{"image_column": "image", "label_column": "label", "storage_options": {}},
    **{"shuffle_block": 256, "canonical_ranks": 1},
}
ROWS_A_GROUP = 100
NAMES = (
    *(f"ours, ffcv {mode}, full {FULL}" for mode in MODES),
    *(f"ours, ffcv {mode}, scheduled {side}" for mode in MODES for side in SMALL),
    *(f"FFCV's own, {mode}, {FULL}" for mode in MODES),
    f"ours, ffcv proportion, full {FULL}, RandAugment",
    f"ours, streaming, full {FULL}",
    *(f"ours, streaming, scheduled {side}" for side in SMALL),
    f"mosaicml-streaming, {FULL}",
    f"ours, imagefolder pillow, full {FULL}",
    f"ours, imagefolder pillow, scheduled {SMALL[0]}",
    f"ours, imagefolder compiled, full {FULL}",
    *(f"ours, imagefolder compiled, scheduled {side}" for side in SMALL),
    f"ours, imagefolder indexed, full {FULL}",
    *(f"ours, imagefolder indexed, scheduled {side}" for side in SMALL),
    f"ours, parquet, full {FULL}",
    f"ours, parquet, scheduled {SMALL[0]}",
    *([f"datasets + torchvision, Parquet, {FULL}"] if find_spec("datasets") else []),
    f"torchvision ImageFolder, {FULL}",
    f"torchvision.io, {FULL}",
)


def generate(root: Path) -> float:
    """Write photographs with grain, two classes; returns the mean size of a file in bytes."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_image

    random, sizes = np.random.default_rng(17), []
    for number in range(IMAGES + 8):
        photo = Image.fromarray(load_sample_image(("china.jpg", "flower.jpg")[number % 2]))
        left, top = random.integers(0, 240), random.integers(0, 127)
        tile = np.asarray(photo.crop((left, top, left + 400, top + 300)).resize((500, 375)), np.float32)
        grain = random.normal(0, 9, tile.shape[:2])[..., None]
        folder = root / ("val" if number < 8 else "train") / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{number:04d}.jpg"
        Image.fromarray(np.clip(tile + grain, 0, 255).astype(np.uint8)).save(path, quality=94)
        sizes.append(path.stat().st_size)
    return statistics.fmean(sizes)


def make(name: str, root: Path, threads: int = 1) -> Epoch:
    """A loader of the images of a folder; `threads` decode, or as many worker processes if there are more than one."""
    if name.startswith("ours"):
        return partial(_sizes, ours(name, root, threads))
    if name.startswith("mosaicml"):
        return partial(_sizes, _mosaic(root, threads))
    if name.startswith("datasets"):
        return partial(_sizes, _datasets(root, threads))
    loader = _stock(name, root, threads) if name.startswith("FFCV") else _torchvision(name, root, threads)
    return partial(_sizes, loader)


def _sizes(batches: Iterable[Any]) -> Iterator[int]:
    for _, labels in batches:
        yield len(labels)


def _workers(threads: int) -> dict[str, Any]:
    """Settings of a ``DataLoader``: one thread is the consumer's own."""
    workers = threads if threads > 1 else 0
    return {"num_workers": workers, "persistent_workers": workers > 0}


def _settings(name: str, root: Path) -> dict[str, Any]:
    (mode,) = [mode for mode in MODES if f"{mode}," in name]
    return {**FILES, "write_mode": mode, "cache_dir": str(root.parent / "cache")}


def ffcv_file(root: Path, mode: str) -> Any:
    """All images of the FFCV file for training, as `resnet_exp.data.thread_loader.Stored`."""
    import numpy as np

    from resnet_exp.data.ffcv.files import FFCVFiles
    from resnet_exp.data.ffcv.loader import FFCVFile

    settings = {**FILES, "write_mode": mode, "cache_dir": str(root.parent / "cache")}
    file = FFCVFile(FFCVFiles(**settings).place_of(str(root), "train"), os_cache=True)
    return next(file.read([np.arange(len(file))], 0))


def marked_files(root: Path) -> Path:
    """A folder of class folders of the JPEGs that ``write_mode=source`` stores; written if it is not there."""
    folder = root.parent / "marked"
    if not folder.exists():
        data, samples, labels = ffcv_file(root, "source")
        for number, (at, size) in enumerate(zip(samples.offset, samples.size, strict=True)):
            path = folder / f"{labels[number]}" / f"{number:05d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data[at : at + size].tobytes())
    return folder


def ours(name: str, root: Path, threads: int = 1, flip: bool = True, batch: int = BATCH) -> Any:
    """A loader of this project."""
    from resnet_exp.data.contract import Split

    classes = len(list((root / "train").iterdir()))
    side = int(name.split(",")[-1 if "RandAugment" not in name else -2].split()[-1])
    split = Split(
        train=True, root=str(root), classes=classes, batch_size=batch, crop=FULL, resize=232, crop_scale=SCALE,
        crop_ratio=RATIO, hflip=flip, seed=17, rank=0, world_size=1, num_workers=threads if threads > 1 else 0,
        prefetch_factor=2, on_gpu=False, side_at=(lambda epoch, batch, batches: side) if "scheduled" in name else None,
    )  # fmt: skip
    if "imagefolder" in name:
        from resnet_exp.data import imagefolder

        decoder = "pillow" if "compiled" not in name and "indexed" not in name else "compiled"
        loader: Any = imagefolder.make_loader(split, decoder, "indexed" in name, str(root.parent / "cache"))
    elif "parquet" in name:
        from resnet_exp.data import parquet

        loader = parquet.make_loader(replace(split, root=str(_parquet(root))), **PARQUET, cache_dir="")
    elif "streaming" in name:
        from resnet_exp.data import streaming

        loader = streaming.make_loader(split, **SHARDS, cache_dir=str(root.parent / "cache"))
    else:
        from resnet_exp.data import ffcv

        loader = ffcv.make_loader(split, os_cache=True, **_settings(name, root))
        if "RandAugment" in name:
            loader.randaugment("all", 10, 1)
    return loader


def _stock(name: str, root: Path, threads: int) -> Any:
    from ffcv.fields.decoders import IntDecoder, RandomResizedCropRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import RandomHorizontalFlip, ToTensor, ToTorchImage

    from resnet_exp.data.ffcv.files import FFCVFiles

    image = [RandomResizedCropRGBImageDecoder((FULL, FULL)), RandomHorizontalFlip(), ToTensor(), ToTorchImage()]
    return Loader(
        str(FFCVFiles(**_settings(name, root)).place_of(str(root), "train")),
        batch_size=BATCH,
        num_workers=threads,
        order=OrderOption.RANDOM,
        os_cache=True,
        pipelines={"image": image, "label": [IntDecoder(), ToTensor()]},
    )


def _torchvision(name: str, root: Path, threads: int) -> Any:
    import torch
    from torch.utils.data import DataLoader
    from torchvision import io
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    steps = [v2.RandomResizedCrop(FULL, antialias=True), v2.RandomHorizontalFlip()]
    if name.startswith("torchvision.io"):
        dataset = ImageFolder(str(root / "train"), v2.Compose(steps), loader=io.decode_image)  # pyright: ignore
    else:
        dataset = ImageFolder(str(root / "train"), v2.Compose([*steps, v2.PILToTensor()]))
    return DataLoader(dataset, batch_size=BATCH, shuffle=True, drop_last=True, **_workers(threads))


def _parquet(root: Path) -> Path:
    return root.parent / "parquet"


def _datasets(root: Path, threads: int) -> Any:
    """Hugging Face's way: files become Arrow in a cache, images are decoded by Pillow, a DataLoader shuffles."""
    import datasets  # pyright: ignore
    import torch
    from torch.utils.data import DataLoader
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    steps = v2.Compose([v2.RandomResizedCrop(FULL, antialias=True), v2.RandomHorizontalFlip(), v2.PILToTensor()])

    def transformed(rows: Any) -> Any:
        return {"image": [steps(image.convert("RGB")) for image in rows["image"]], "label": rows["label"]}

    def collate(rows: Any) -> Any:
        return torch.stack([row["image"] for row in rows]), torch.tensor([row["label"] for row in rows])

    files, cache = str(_parquet(root) / "train-*.parquet"), str(root.parent / "datasets")
    found = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache)
    rows: Any = found.with_transform(transformed)
    return DataLoader(rows, batch_size=BATCH, shuffle=True, drop_last=True, collate_fn=collate, **_workers(threads))


def _write_parquet(root: Path) -> None:
    """Files as the Hub has them."""
    import json

    import pyarrow as pa
    from pyarrow import parquet

    classes = sorted(path.name for path in (root / "train").iterdir())
    features = {"image": {"_type": "Image"}, "label": {"names": classes, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    _parquet(root).mkdir(parents=True, exist_ok=True)
    for split, name in (("train", "train"), ("val", "validation")):
        paths = sorted((root / split).rglob("*.jpg"), key=lambda path: path.name)
        images = pa.array([{"bytes": path.read_bytes(), "path": path.name} for path in paths])
        labels = [classes.index(path.parent.name) for path in paths]
        table = pa.table({"image": images, "label": labels}, metadata=metadata)
        target = _parquet(root) / f"{name}-00000-of-00001.parquet"
        parquet.write_table(table, target, row_group_size=ROWS_A_GROUP)


def mosaicml_streaming() -> Any:
    """The package, without what it imports and does not need here."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from support.mosaic import without_transformers

    without_transformers()
    import streaming

    return streaming


def _mosaic(root: Path, threads: int) -> Any:
    """Our shards by the package whose format they have, with the transforms that its users write."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision.transforms import v2

    from resnet_exp.data.streaming.files import MDSShards

    torch.set_num_threads(1)
    steps = v2.Compose([v2.RandomResizedCrop(FULL, antialias=True), v2.RandomHorizontalFlip(), v2.PILToTensor()])

    class Images(mosaicml_streaming().StreamingDataset):
        def __getitem__(self, at: Any) -> Any:
            sample = super().__getitem__(at)
            return steps(sample["x"]), sample["y"]

    folder = MDSShards(**SHARDS, cache_dir=str(root.parent / "cache")).place_of(str(root), "train")
    dataset = Images(local=str(folder), shuffle=True, batch_size=BATCH, num_canonical_nodes=1)
    return DataLoader(dataset, batch_size=BATCH, drop_last=True, **_workers(threads))


def prepare(root: Path) -> None:
    """Convert the photographs for all loaders."""
    _write_parquet(root)
    from resnet_exp.data.conversion.process import ConversionOptions
    from resnet_exp.data.ffcv.files import FFCVFiles
    from resnet_exp.data.imagefolder.files import IndexFiles
    from resnet_exp.data.streaming.files import MDSShards

    cache, workers = str(root.parent / "cache"), os.cpu_count() or 1
    for mode in MODES:
        settings = {**FILES, "write_mode": mode, "cache_dir": cache}
        FFCVFiles(**settings).prepare(str(root), ConversionOptions(workers, lambda text: None))
    MDSShards(**SHARDS, cache_dir=cache).prepare(str(root), ConversionOptions(workers, lambda text: None))
    IndexFiles(cache, "compiled", True).prepare(str(root), ConversionOptions(workers, lambda text: None))
