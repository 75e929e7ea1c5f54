"""The loaders that `benchmarks/data.py` compares, and the photographs that it generates for them."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

IMAGES, BATCH, FULL, SMALL = 1024, 64, 176, (88, 128)
MODES = ("proportion", "raw", "jpg")
FILES = {"train_file": None, "val_file": None, "max_resolution": 500, "compress_probability": 0.5, "jpeg_quality": 90}
SHARDS: dict[str, Any] = {
    **{"remote": None, "storage_options": {}, "image_column": "x", "label_column": "y", "shuffle_block": 32768},
    **{"canonical_nodes": 1, "max_resolution": 500, "jpeg_quality": 90, "images_per_shard": 64},
}
NAMES = (
    *(f"ours, ffcv {mode}, full {FULL}" for mode in MODES),
    *(f"ours, ffcv {mode}, scheduled {side}" for mode in MODES for side in SMALL),
    *(f"FFCV's own, {mode}, {FULL}" for mode in MODES),
    f"ours, ffcv proportion, full {FULL}, RandAugment",
    f"ours, streaming, full {FULL}",
    *(f"ours, streaming, scheduled {side}" for side in SMALL),
    f"mosaicml-streaming, {FULL}",
    f"ours, imagefolder, full {FULL}",
    f"ours, imagefolder, scheduled {SMALL[0]}",
    f"ours, imagefolder compiled, full {FULL}",
    *(f"ours, imagefolder compiled, scheduled {side}" for side in SMALL),
    f"torchvision ImageFolder, {FULL}",
    f"torchvision.io, {FULL}",
    "libjpeg-turbo alone, images whole",
    "floor: libjpeg-turbo alone, crops",
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


def make(name: str, root: Path) -> Callable[[], int]:
    """A function that works through the images once and returns how many they were."""
    if "libjpeg-turbo" in name:
        return _decoder(name, root)
    if name.startswith("ours"):
        return _ours(name, root)
    if name.startswith("mosaicml"):
        return _mosaic(root)
    return _stock(name, root) if name.startswith("FFCV") else _torchvision(name, root)


def _counted(batches: Iterable[Any]) -> int:
    return sum(len(labels) for _, labels in batches)


def _settings(name: str, root: Path) -> dict[str, Any]:
    (mode,) = [mode for mode in MODES if f"{mode}," in name]
    return {**FILES, "write_mode": mode, "cache_dir": str(root.parent / "cache")}


def _ours(name: str, root: Path) -> Callable[[], int]:
    from resnet_exp.data.contract import Split

    side = int(name.split(",")[-1 if "RandAugment" not in name else -2].split()[-1])
    split = Split(
        train=True, root=str(root), classes=2, batch_size=BATCH, crop=FULL, resize=232, crop_scale=(0.08, 1.0),
        crop_ratio=(3 / 4, 4 / 3), hflip=True, seed=17, rank=0, world_size=1, num_workers=0, prefetch_factor=2,
        on_gpu=False, side_at=(lambda epoch, batch, batches: side) if "scheduled" in name else None,
    )  # fmt: skip
    if "imagefolder" in name:
        from resnet_exp.data import imagefolder

        loader: Any = imagefolder.make_loader(split, "compiled" if "compiled" in name else "pillow")
    elif "streaming" in name:
        from resnet_exp.data import streaming

        loader = streaming.make_loader(split, **SHARDS, cache_dir=str(root.parent / "cache"))
    else:
        from resnet_exp.data import ffcv

        loader = ffcv.make_loader(split, os_cache=True, **_settings(name, root))
        if "RandAugment" in name:
            loader.randaugment("all", 10, 1)
    return lambda: _counted(loader)


def _stock(name: str, root: Path) -> Callable[[], int]:
    from ffcv.fields.decoders import IntDecoder, RandomResizedCropRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import RandomHorizontalFlip, ToTensor, ToTorchImage

    from resnet_exp.data.ffcv.files import FFCVFiles

    image = [RandomResizedCropRGBImageDecoder((FULL, FULL)), RandomHorizontalFlip(), ToTensor(), ToTorchImage()]
    loader = Loader(
        str(FFCVFiles(**_settings(name, root)).place_of(str(root), "train")),
        batch_size=BATCH,
        num_workers=1,
        order=OrderOption.RANDOM,
        os_cache=True,
        pipelines={"image": image, "label": [IntDecoder(), ToTensor()]},
    )
    return lambda: _counted(loader)


def _torchvision(name: str, root: Path) -> Callable[[], int]:
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
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True, drop_last=True)
    return lambda: _counted(loader)


def mosaicml_streaming() -> Any:
    """The package, without what it imports and does not need here."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from support.mosaic import without_transformers

    without_transformers()
    import streaming

    return streaming


def _mosaic(root: Path) -> Callable[[], int]:
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
    loader = DataLoader(dataset, batch_size=BATCH, drop_last=True)
    return lambda: _counted(loader)


def _decoder(name: str, root: Path) -> Callable[[], int]:
    import jpeg_passes
    import numpy as np

    from resnet_exp.data.conversion.encode import restart_interval
    from resnet_exp.data.kernels.jpeg import EIGHTHS

    if "whole" in name:
        files: list[Any] = [np.fromfile(path, np.uint8) for path in sorted((root / "train").rglob("*.jpg"))]
        work = jpeg_passes.whole(files, EIGHTHS)
    else:
        files = jpeg_passes.encoded(root, restart_interval(jpeg_passes.WIDTH))
        work = jpeg_passes.crops(files)

    def decode() -> int:
        work()
        return len(files)

    return decode


def prepare(root: Path) -> None:
    """Convert the photographs for all loaders."""
    from resnet_exp.data.conversion.process import ConversionOptions
    from resnet_exp.data.ffcv.files import FFCVFiles
    from resnet_exp.data.streaming.files import MDSShards

    cache, workers = str(root.parent / "cache"), os.cpu_count() or 1
    for mode in MODES:
        settings = {**FILES, "write_mode": mode, "cache_dir": cache}
        FFCVFiles(**settings).prepare(str(root), ConversionOptions(workers, lambda text: None))
    MDSShards(**SHARDS, cache_dir=cache).prepare(str(root), ConversionOptions(workers, lambda text: None))
