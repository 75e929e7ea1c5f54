"""Torchvision ResNets as Composer models, with the recipes' initial weights and losses."""

from __future__ import annotations

from typing import Any

import torch
from composer.loss import binary_cross_entropy_with_logits, soft_cross_entropy
from composer.metrics import CrossEntropy
from composer.models import ComposerClassifier
from composer.models.initializers import Initializer
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

BLOCKS = {"basic": BasicBlock, "bottleneck": Bottleneck}
LOSSES = {
    "soft_cross_entropy": soft_cross_entropy,
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
}


def build_model(config: dict[str, Any]) -> ComposerClassifier:
    """Build the classifier that ``model`` describes.

    Its evaluation metrics are ``top1`` and ``top5`` (fractions) and ``loss`` (cross entropy). It has no training
    metrics: the original system measured none, and they cost time every batch.
    """
    network = ResNet(
        BLOCKS[config["block"]],
        config["layers"],
        num_classes=config["num_classes"],
        groups=config["groups"],
        width_per_group=config["width_per_group"],
    )
    for name in config["initializers"]:
        network.apply(Initializer(name).get_initializer())
    if config["sync_batchnorm"]:
        network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return ComposerClassifier(
        network,
        num_classes=config["num_classes"],
        train_metrics=MetricCollection([]),
        val_metrics=_metrics(config["num_classes"]),
        loss_fn=LOSSES[config["loss"]],
    )


def _metrics(classes: int) -> MetricCollection:
    top5 = min(5, classes)
    return MetricCollection(
        {
            "top1": MulticlassAccuracy(num_classes=classes, average="micro"),
            "top5": MulticlassAccuracy(num_classes=classes, average="micro", top_k=top5),
            "loss": CrossEntropy(),
        },
        compute_groups=False,
    )
