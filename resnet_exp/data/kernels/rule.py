"""How samples become images: whose crops, sizes and flips they get."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from resnet_exp.data.contract import Split
from resnet_exp.data.kernels.crops import (
    Crop,
    ExactBox,
    center_box,
    crop_of,
    logarithms,
    random_box,
    resized_center_crop,
)
from resnet_exp.data.kernels.jit import inner
from resnet_exp.data.kernels.jpeg import EIGHTHS
from resnet_exp.data.kernels.randaugment import Augment
from resnet_exp.data.kernels.resize import Pixels
from resnet_exp.data.kernels.rng import CROP, FLIP, Stream, epoch_key, seed_stream, uniform

# Whose images a loader makes. Those of FFCV: JPEGs decoded at full size, or with ``data.decode=scheduled`` at one that
# covers the image; resized by the mean of an area. Or those of torchvision's transforms on Pillow: bilinear.
AS_FFCV, AS_FFCV_SCHEDULED, AS_PILLOW = range(3)


# How much larger than its image a JPEG is decoded where it is to look as Pillow's: by less, its pixels differ visibly
# (48 instead of 56 dB, `benchmarks/data.py --peers --quality`).
PILLOW_MARGIN = 1.5


class Rule(NamedTuple):
    """How a sample becomes an image; the same for all samples of a batch."""

    train: bool
    key: np.uint64  # of the epoch's random numbers
    scale: tuple[float, float]
    log_ratio: tuple[float, float]
    flip: bool
    resize: int  # evaluation: pixels of the short side of the image before it is cropped
    share: float  # likewise: side of the crop over the short side
    like: int  # whose images: AS_FFCV, AS_FFCV_SCHEDULED or AS_PILLOW
    augment: Augment


def rule_of(split: Split, epoch: int, like: int, augment: Augment) -> Rule:
    """The rule for the images of a split in an epoch."""
    return Rule(
        train=split.train,
        key=epoch_key(split.seed, epoch),
        scale=split.crop_scale,
        log_ratio=logarithms(split.crop_ratio),
        flip=split.hflip,
        resize=split.resize,
        share=split.crop / split.resize,
        like=like,
        augment=augment,
    )


@inner
def jpeg_scale(rule: Rule, box: ExactBox, out: Pixels) -> int:
    """Eighths of its size at which a JPEG is decoded: 8, 4, 2 or 1, the least that covers the output.

    With `AS_PILLOW` it covers `PILLOW_MARGIN` of the output's sides.
    """
    if rule.like == AS_FFCV:
        return EIGHTHS
    need = max(out.shape[0] / box[2], out.shape[1] / box[3])
    if rule.like == AS_PILLOW:
        need *= PILLOW_MARGIN
    part = EIGHTHS
    while part > 1 and part >= 2 * need * EIGHTHS:
        part //= 2
    return part


@inner
def choose_crop(rule: Rule, stream: Stream, height: int, width: int, index: np.uint64, side: int) -> Crop:
    """The crop of a sample, of which an image of `side` pixels is made."""
    if rule.train:
        seed_stream(stream, rule.key, index, CROP)
        return crop_of(random_box(stream, height, width, rule.scale, rule.log_ratio))
    if rule.like == AS_PILLOW:
        return resized_center_crop(height, width, rule.resize, side)
    return crop_of(center_box(height, width, rule.share))


@inner
def choose_flip(rule: Rule, stream: Stream, index: np.uint64) -> bool:
    """Whether a sample is mirrored."""
    seed_stream(stream, rule.key, index, FLIP)
    return rule.train and rule.flip and uniform(stream, 0.0, 1.0) < 0.5
