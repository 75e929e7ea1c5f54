"""What an evaluation measures beside the metrics of training: per class, and calibration (torchmetrics 1.9.0)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics import Metric

from resnet_exp.data.contract import IGNORED

# As Guo et al., 2017, arXiv:1706.04599.
BINS = 15


@dataclass(frozen=True)
class Bin:
    """Predictions of similar confidence: how many, their mean confidence, and which share was right."""

    images: int
    confidence: float
    accuracy: float


class PerClass(Metric):
    """Right answers, images and answers of each class; its value is the mean top-1 of the classes."""

    right: Tensor
    images: Tensor
    answers: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        for name in ("right", "images", "answers"):
            self.add_state(name, torch.zeros(classes, dtype=torch.long), dist_reduce_fx="sum")
        self.table: list[tuple[int, int, int]] = []

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch: logits of shape NC and class numbers of shape N, where `IGNORED` ones do not count."""
        counted = target != IGNORED
        answers, target, size = preds.argmax(1)[counted], target[counted], len(self.images)
        self.images += torch.bincount(target, minlength=size)
        self.answers += torch.bincount(answers, minlength=size)
        self.right += torch.bincount(target[answers == target], minlength=size)

    def compute(self) -> Tensor:
        """The mean; keeps the sums over all ranks in `table`."""
        columns = (self.right, self.images, self.answers)
        self.table = list(zip(*(column.tolist() for column in columns), strict=True))
        seen = self.images > 0
        return (self.right[seen] / self.images[seen]).mean()


class Calibration(Metric):
    """Expected calibration error of the highest softmax probability, in `BINS` bins of equal width."""

    confidences: list[Tensor]
    rights: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("confidences", [], dist_reduce_fx="cat")
        self.add_state("rights", [], dist_reduce_fx="cat")
        self.bins: list[Bin] = []

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch, as `PerClass.update`."""
        counted = target != IGNORED
        confidence, answer = preds[counted].float().softmax(1).max(1)
        self.confidences.append(confidence)
        self.rights.append((answer == target[counted]).long())

    def compute(self) -> Tensor:
        """The error; keeps what each bin has, from low to high confidence, in `bins`."""
        confidences, rights = (
            torch.cat(state) if isinstance(state, list) else state for state in (self.confidences, self.rights)
        )
        edges = torch.linspace(0, 1, BINS + 1, device=confidences.device)[1:-1]
        places = torch.bucketize(confidences, edges)
        self.bins = [_bin(confidences[places == place], rights[places == place]) for place in range(BINS)]
        # Not torchmetrics' own: it counts a confidence of exactly 1 apart from the last bin.
        gaps = sum(one.images * abs(one.confidence - one.accuracy) for one in self.bins)
        return torch.tensor(gaps / len(rights))


def _bin(confidences: Tensor, rights: Tensor) -> Bin:
    images = len(rights)
    if images == 0:
        return Bin(0, 0.0, 0.0)
    return Bin(images, confidences.double().mean().item(), rights.double().mean().item())
