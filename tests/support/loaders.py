"""A loader of each kind over an image folder, and epochs of it to compare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from resnet_exp.data import ffcv, imagefolder, streaming
from resnet_exp.data.contract import Split
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.ffcv.files import FFCVFiles
from resnet_exp.data.imagefolder.files import IndexFiles
from resnet_exp.data.streaming.files import MDSShards

Batches = list[tuple[torch.Tensor, torch.Tensor]]


def file_settings(photos: Path, mode: str) -> dict[str, Any]:
    files = {"train_file": None, "val_file": None, "cache_dir": str(photos.parent / "cache"), "write_mode": mode}
    return {**files, "max_resolution": 500, "compress_probability": 0.5, "jpeg_quality": 90}


def shard_settings(cache: Path, **changes: Any) -> dict[str, Any]:
    reading = {"remote": None, "storage_options": {}, "image_column": "x", "label_column": "y"}
    mixing = {"shuffle_block": 16, "canonical_nodes": 1}
    writing = {"max_resolution": 500, "jpeg_quality": 90, "images_per_shard": 7}
    return {**reading, **mixing, **writing, "cache_dir": str(cache), **changes}


def split_of(photos: Path, **changes: Any) -> Split:
    split = Split(
        train=True, root=str(photos), classes=2, batch_size=4, crop=32, resize=40, crop_scale=(0.2, 1.0),
        crop_ratio=(3 / 4, 4 / 3), hflip=True, seed=5, rank=0, world_size=1, num_workers=0, prefetch_factor=2,
        on_gpu=False,
    )  # fmt: skip
    return replace(split, **changes)


def open_loader(kind: str, photos: Path, os_cache: bool = True, **changes: Any) -> Any:
    if kind in ("imagefolder", "compiled"):
        return imagefolder.make_loader(split_of(photos, **changes), "pillow" if kind == "imagefolder" else kind)
    if kind == "indexed":
        index = IndexFiles(str(photos.parent / "cache"), "compiled", True)
        index.prepare(str(photos), ConversionOptions(1, lambda _: None))
        return imagefolder.make_loader(split_of(photos, **changes), index.decoder, index.index, index.cache_dir)
    if kind == "parquet":
        from support.parquet_files import open_parquet, write_parquet

        folder = photos.parent / "parquet"
        if not folder.exists():
            write_parquet(photos, folder)
        # Less than the images, so that row groups are mixed.
        return open_parquet(folder, photos.parent / "cache", {"shuffle_block": 8, "canonical_ranks": 2}, **changes)
    if kind == "streaming":
        shards = shard_settings(photos.parent / "cache")
        MDSShards(**shards).prepare(str(photos), ConversionOptions(1, lambda _: None))
        return streaming.make_loader(split_of(photos, **changes), **shards)
    files = file_settings(photos, kind)
    FFCVFiles(**files).prepare(str(photos), ConversionOptions(1, lambda _: None))
    return ffcv.make_loader(split_of(photos, **changes), os_cache=os_cache, **files)


def epoch_of(loader: Any, epoch: int, batch: int = 0) -> Batches:
    loader.seek(epoch, batch)
    return [(images.clone(), labels.clone()) for images, labels in loader]


def same(ours: Batches, theirs: Batches) -> bool:
    assert len(ours) == len(theirs)
    return all(torch.equal(x, a) and torch.equal(y, b) for (x, y), (a, b) in zip(ours, theirs, strict=True))
