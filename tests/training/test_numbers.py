"""Numbers that training and evaluation make of images.

Composer is imported by the tests that need it: all workers import all files of tests, and it takes seconds.
"""

from __future__ import annotations

import pytest
import torch

from resnet_exp.data.contract import IGNORED


def test_normalization_is_the_textbook_one() -> None:
    from composer.devices import DeviceCPU

    from resnet_exp.training.loaders import Normalize

    images = torch.randint(0, 256, (4, 3, 5, 5), dtype=torch.uint8)
    mean, std = [10.0, 20.0, 30.0], [2.0, 3.0, 4.0]
    done, _ = Normalize(DeviceCPU(), mean, std, torch.float32)((images.clone(), torch.zeros(4)))
    expected = (images.double() - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    assert torch.allclose(done.double(), expected, atol=1e-5)


def test_the_evaluation_loss_is_a_mean_over_images() -> None:
    from resnet_exp.training.model import MeanCrossEntropy

    logits, labels = torch.randn(10, 4), torch.randint(0, 4, (10,))
    metric = MeanCrossEntropy()
    metric.update(logits[:7], labels[:7])
    metric.update(logits[7:], labels[7:])
    metric.update(torch.randn(2, 4), torch.full((2,), IGNORED))
    assert float(metric.compute()) == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-5)
