"""What a run needs on disk, from its configuration alone."""

from __future__ import annotations

from resnet_exp.config.schema import ModelConfig, RunConfig
from resnet_exp.core.terminal.text import byte_size
from resnet_exp.data import formats

BYTES_PER_WEIGHT = 4
# Channels of the four stages, and the expansion factor of a bottleneck (He et al. 2016, as in torchvision 0.22).
STAGES, EXPANSION, STEM, IMAGE_CHANNELS = (64, 128, 256, 512), {"basic": 1, "bottleneck": 4}, 64, 3
# The last checkpoint stays until the next one is complete.
CHECKPOINTS = 2
# https://docs.ffcv.io/benchmarks.html: ImageNet at 512 px, half of it JPEG of quality 90; the default here is 500 px.
IMAGENET_FFCV_GB = 202


def parameters(model: ModelConfig) -> int:
    """Number of weights of the ResNet that ``model`` describes, including those of batch norm."""
    expansion = EXPANSION[model.block]
    total = IMAGE_CHANNELS * STEM * 7 * 7 + 2 * STEM
    channels = STEM
    for planes, blocks, stage in zip(STAGES, model.layers, range(len(STAGES)), strict=True):
        for block in range(blocks):
            total += _block(model, channels, planes)
            if block == 0 and (stage > 0 or channels != planes * expansion):
                total += channels * planes * expansion + 2 * planes * expansion
            channels = planes * expansion
    return total + channels * model.num_classes + model.num_classes


def _block(model: ModelConfig, channels: int, planes: int) -> int:
    if model.block == "basic":
        return 9 * channels * planes + 9 * planes * planes + 4 * planes
    groups, out = model.groups, planes * EXPANSION["bottleneck"]
    width = int(planes * model.width_per_group / 64) * groups
    return channels * width + 9 * width * width // groups + width * out + 4 * width + 2 * out


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
