"""What a run needs on disk, from its configuration alone."""

from __future__ import annotations

from resnet_exp.config.network import parameters
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.terminal.text import byte_size
from resnet_exp.data import formats

BYTES_PER_WEIGHT = 4
# The last checkpoint stays until the next one is complete.
CHECKPOINTS = 2
# ImageNet at 500 px and quality 90, as others wrote it with FFCV. JPEGs alone: 68.7e9 bytes of train (libffcv/ffcv
# issue 216); val and 1.7 % of markers come to it. Half pixels: 337 + 15 GB (libffcv/ffcv-imagenet issue 1), taken as
# GiB; the 202 GB of FFCV's docs are not of halves. Pixels alone follow from the two.
IMAGENET_JPEG_GB, IMAGENET_HALF_GB = 73, 378
IMAGENET_RAW_GB = 2 * IMAGENET_HALF_GB - IMAGENET_JPEG_GB
# Of its archives, in which 1.33 million files take half a kilobyte each beside their bytes: image-net.org says 147.9 GB
# for train and 6.7 GB for val. Markers add 1 to 3 %, metadata goes.
IMAGENET_SOURCE_GB = 157
# 1.91 % of those bytes (docs/performance.md).
IMAGENET_INDEX_GB = 3


def weight_bytes(config: RunConfig) -> int:
    """Size of the weights, and of the gradients that the ranks sum up in each step."""
    return BYTES_PER_WEIGHT * parameters(config.model)


def checkpoint_bytes(config: RunConfig) -> int:
    """Size of a checkpoint: weights, momentum and moving average."""
    return (2 + ("ema" in config.algorithms)) * weight_bytes(config)


def run_bytes(config: RunConfig) -> int:
    """Largest size of a run folder: checkpoints and the weights."""
    return CHECKPOINTS * checkpoint_bytes(config) + weight_bytes(config)


def kept_bytes(config: RunConfig) -> int:
    """Size of the folder of a finished run: its weights, and its last checkpoint if that is kept."""
    return weight_bytes(config) + config.keep_checkpoints * checkpoint_bytes(config)


def converted_bytes(config: RunConfig) -> int | None:
    """About the size of ImageNet's FFCV files, or of its index; None for other images, which have to be read for it.

    Other sizes and qualities of FFCV files than the default ones are not considered.
    """
    loader = config.data.loader
    found = formats.format_of(loader)
    if config.dataset.name != "imagenet":
        return None
    if found is formats.IMAGE_FOLDER and loader.get("index"):
        return IMAGENET_INDEX_GB * 10**9
    if found is not formats.FFCV:
        return None
    mode = str(loader.get("write_mode"))
    if mode == "source":
        return IMAGENET_SOURCE_GB * 10**9
    jpegs = {"jpg": 1.0, "raw": 0.0}.get(mode, float(loader.get("compress_probability", 0.5)))
    return round(jpegs * IMAGENET_JPEG_GB + (1 - jpegs) * IMAGENET_RAW_GB) * 10**9


def disk_text(config: RunConfig) -> str:
    """What a run needs on disk, as text."""
    needed = f"up to {byte_size(run_bytes(config))} in the run folder, {byte_size(kept_bytes(config))} when it is done"
    if (converted := converted_bytes(config)) is None:
        return needed
    what = "FFCV files" if formats.format_of(config.data.loader) is formats.FFCV else "an index"
    return f"{needed}; about {converted // 10**9} GB of {what} in data.cache_dir, written once"
