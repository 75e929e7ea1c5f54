"""The losses of ``model.loss``, and targets for them: Composer's arithmetic, without reading tensors on the host.

Composer's own check the labels in each call, for which the host waits for the device three to six times a batch. Here
they are taken as they are: those of a dataset were checked when it was converted or indexed.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def dense_targets(logits: Tensor, labels: Tensor) -> Tensor:
    """Labels as float32 probabilities of shape NC, that of `logits`.

    Args:
        logits: shape NC.
        labels: class numbers of shape N, or probabilities of shape NC.
    """
    if labels.shape == logits.shape:
        return labels.float()
    zeros = torch.zeros(logits.shape, dtype=torch.float32, device=labels.device)
    return zeros.scatter_(1, labels.unsqueeze(1), 1.0)


def binary_cross_entropy_with_logits(input: Tensor, target: Tensor) -> Tensor:
    """Binary cross entropy, summed over classes, averaged over images (``composer.loss`` 0.32.1).

    Args:
        input: logits of shape NC.
        target: class numbers of shape N, or probabilities of shape NC.
    """
    loss = functional.binary_cross_entropy_with_logits(input, dense_targets(input, target), reduction="sum")
    return loss.div_(input.shape[0])


def soft_cross_entropy(input: Tensor, target: Tensor) -> Tensor:
    """Cross entropy, averaged over images (``composer.loss`` 0.32.1).

    Args:
        input: logits of shape NC.
        target: class numbers of shape N, or probabilities of shape NC.
    """
    if target.shape != input.shape:
        return functional.cross_entropy(input, target)
    loss = -(target * functional.log_softmax(input, dim=1))
    # As Composer: targets of less than one in all count less.
    return loss.sum(dim=1).mean() * (len(input) / target.sum())


LOSSES = {
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
    "soft_cross_entropy": soft_cross_entropy,
}
