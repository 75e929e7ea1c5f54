"""What a run needs on disk, from its configuration alone."""

from __future__ import annotations

from resnet_exp.config.network import parameters
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.terminal.text import byte_size
from resnet_exp.data import formats

BYTES_PER_WEIGHT = 4
# The last checkpoint stays until the next one is complete.
CHECKPOINTS = 2
# https://docs.ffcv.io/benchmarks.html: ImageNet at 512 px, half of it JPEG of quality 90; the default here is 500 px.
IMAGENET_FFCV_GB = 202


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
    """About the size of the FFCV files of ImageNet; None for other images, which have to be read for it."""
    ours = formats.format_of(config.data.loader) is formats.FFCV and config.dataset.name == "imagenet"
    return IMAGENET_FFCV_GB * 10**9 if ours else None


def disk_text(config: RunConfig) -> str:
    """What a run needs on disk, as text."""
    needed = f"up to {byte_size(run_bytes(config))} in the run folder, {byte_size(kept_bytes(config))} when it is done"
    if converted_bytes(config) is not None:
        return f"{needed}; about {IMAGENET_FFCV_GB} GB of FFCV files in data.cache_dir, written once"
    return needed
