"""The data loaders of one rank."""

from __future__ import annotations

from functools import partial

import torch
from composer.core import DataSpec
from composer.devices import Device
from composer.utils import dist

from resnet_exp.config import schedule
from resnet_exp.config.checks.workers import num_workers
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.data import formats
from resnet_exp.data.contract import Batch, Loader, Split
from resnet_exp.data.device_copy import Prefetched
from resnet_exp.training.instantiate import build_entry

LOADER_PARTS = ("batch_size", "images", "seek", "__len__", "__iter__")


def build_loader(config: RunConfig, train: bool) -> Loader:
    """Loader of one split for this rank, whose batches are on its GPU if it has one.

    Raises:
        RequestError: what ``data.loader`` makes lacks something of a `Loader`.
    """
    data = config.data
    files = formats.files_of(data.loader, data.cache_dir)
    cache = {} if files is None else {"cache_dir": data.cache_dir}
    loader = build_entry("data.loader", data.loader, split=make_split(config, train), **cache)
    missing = [name for name in LOADER_PARTS if not hasattr(loader, name)]
    if missing:
        raise RequestError(
            f"data.loader: {data.loader['_target_']} makes a {type(loader).__name__} without {', '.join(missing)}; "
            f"a loader has {', '.join(LOADER_PARTS)} (docs/config.md shows one)"
        )
    return Prefetched(loader) if config.hardware.device == "gpu" else loader


def make_split(config: RunConfig, train: bool) -> Split:
    """Describe one split for this rank."""
    dataset, sizes, hardware = config.dataset, config.resolution, config.hardware
    low, high = dataset.crop_scale
    narrow, wide = dataset.crop_ratio
    return Split(
        train=train,
        root=dataset.root,
        classes=config.model.num_classes,
        batch_size=config.rank_batch if train else config.rank_eval_batch,
        crop=sizes.train if train else sizes.eval_crop,
        resize=sizes.eval_resize,
        crop_scale=(low, high),
        crop_ratio=(narrow, wide),
        hflip=dataset.hflip,
        seed=config.seed,
        rank=dist.get_global_rank(),
        world_size=dist.get_world_size(),
        num_workers=num_workers(config),
        prefetch_factor=config.data.prefetch_factor,
        on_gpu=hardware.device == "gpu",
        side_at=partial(schedule.loaded_size, config) if train and config.data.decode == "scheduled" else None,
    )


def images_dtype(config: RunConfig, train: bool) -> torch.dtype:
    """Type of normalized images: the original normalized FFCV's training images in half precision, others in full.

    Random images are to train as fast as those.
    """
    as_ffcv = formats.format_of(config.data.loader) in (formats.FFCV, formats.SYNTHETIC)
    half = train and as_ffcv and config.hardware.precision == "amp_fp16"
    return torch.float16 if half else torch.float32


def _normalize(config: RunConfig, device: Device, train: bool) -> Normalize:
    return Normalize(device, config.dataset.mean, config.dataset.std, images_dtype(config, train))


class Normalize:
    """Move a uint8 batch to the device and normalize its channels there with mean and standard deviation."""

    def __init__(self, device: Device, mean: list[float], std: list[float], dtype: torch.dtype) -> None:
        """`mean` and `std` are of the pixels, 0 to 255; `dtype` is that of the resulting images."""
        self._device = device
        self._dtype = dtype
        self._mean, self._std = (
            device.tensor_to_device(torch.tensor(value, dtype=dtype).view(1, 3, 1, 1)) for value in (mean, std)
        )

    def __call__(self, batch: Batch) -> Batch:
        """Return normalized images, shape NCHW, and labels, both on the device."""
        images, labels = self._device.batch_to_device(batch)
        return images.to(self._dtype).sub_(self._mean).div_(self._std), labels


def normalized(loader: Loader, normalize: Normalize) -> DataSpec:
    """Wrap a loader for Composer.

    The transform runs before the algorithms, so that progressive resizing, MixUp and ColOut work on the device, as they
    did in Composer 0.7.1.
    """
    return DataSpec(loader, batch_transforms=normalize, get_num_samples_in_batch=lambda batch: len(batch[1]))
