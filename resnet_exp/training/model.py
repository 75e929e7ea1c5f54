"""Torchvision ResNets as Composer models, with the recipes' initial weights and losses."""

from __future__ import annotations

import torch
from composer.models import ComposerClassifier
from composer.models.initializers import Initializer
from torch import Tensor
from torch.nn import functional
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from resnet_exp.config.schema import ModelConfig
from resnet_exp.data.contract import IGNORED
from resnet_exp.training.step.losses import LOSSES

BLOCKS = {"basic": BasicBlock, "bottleneck": Bottleneck}


class MeanCrossEntropy(Metric):
    """Cross entropy, averaged over samples, in torchmetrics 1.9.0; Composer's averages over batches of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")
        self.total: Tensor
        self.count: Tensor

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch: logits of shape NC and class numbers of shape N, where `IGNORED` ones do not count."""
        self.total += functional.cross_entropy(preds.float(), target, reduction="sum", ignore_index=IGNORED)
        self.count += (target != IGNORED).sum()

    def compute(self) -> Tensor:
        """Mean over all samples of all ranks."""
        return self.total / self.count


def build_model(config: ModelConfig) -> ComposerClassifier:
    """Build the classifier that ``model`` describes.

    Its evaluation metrics are ``top1`` and ``top5`` (fractions) and ``loss`` (cross entropy). It has no training
    metrics: the original system measured none, and they cost time every batch.
    """
    network = ResNet(
        BLOCKS[config.block],
        config.layers,
        num_classes=config.num_classes,
        groups=config.groups,
        width_per_group=config.width_per_group,
    )
    for name in config.initializers:
        network.apply(Initializer(name).get_initializer())
    if config.sync_batchnorm:
        network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return ComposerClassifier(
        network,
        num_classes=config.num_classes,
        train_metrics=MetricCollection([]),
        val_metrics=evaluation_metrics(config.num_classes),
        loss_fn=LOSSES[config.loss],
    )


def evaluation_metrics(classes: int) -> MetricCollection:
    """``top1``, ``top5`` (fractions) and ``loss`` of a classifier of so many classes."""
    top5 = min(5, classes)
    return MetricCollection(
        {
            "top1": MulticlassAccuracy(num_classes=classes, average="micro", ignore_index=IGNORED),
            "top5": MulticlassAccuracy(num_classes=classes, average="micro", top_k=top5, ignore_index=IGNORED),
            "loss": MeanCrossEntropy(),
        },
        compute_groups=False,
    )
