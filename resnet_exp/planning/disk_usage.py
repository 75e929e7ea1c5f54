"""What a run needs on disk, from its configuration alone."""

from __future__ import annotations

from resnet_exp.config.schema import RunConfig
from resnet_exp.core.terminal.text import byte_size
from resnet_exp.data import formats
from resnet_exp.planning.scaling.network import parameters

BYTES_PER_WEIGHT = 4
# The last checkpoint stays until the next one is complete.
CHECKPOINTS = 2
# https://docs.ffcv.io/benchmarks.html: ImageNet at 512 px, half of it JPEG of quality 90; the default here is 500 px.
IMAGENET_FFCV_GB = 202


def run_bytes(config: RunConfig) -> int:
    """Largest size of a run folder: checkpoints of weights, momentum and moving average, and the weights."""
    copies = 2 + ("ema" in config.algorithms)
    return (CHECKPOINTS * copies + 1) * BYTES_PER_WEIGHT * parameters(config.model)


def disk_text(config: RunConfig) -> str:
    """What a run needs on disk, as text."""
    needed = f"up to {byte_size(run_bytes(config))} in the run folder"
    if formats.format_of(config.data.loader) is formats.FFCV and config.dataset.name == "imagenet":
        return f"{needed}; about {IMAGENET_FFCV_GB} GB of FFCV files in data.cache_dir, written once"
    return needed
