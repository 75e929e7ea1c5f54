"""The plain network is Composer's, bit for bit, whatever the algorithms have made of it."""

from __future__ import annotations

import composer.functional as cf
import pytest
import torch

from resnet_exp.config.schema import ModelConfig, RunConfig
from resnet_exp.inference import plain
from resnet_exp.inference.models import with_scales
from resnet_exp.training.model import build_model

DEPTH = {"_target_": "resnet_exp.training.algorithms.StochasticDepth", "drop_rate": 0.3}


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("blur", [None, True, False])
@pytest.mark.parametrize("depth", [{}, {"drop_distribution": "linear"}, {"drop_distribution": "uniform"}])
def test_outputs_are_the_same(block: str, blur: bool | None, depth: dict[str, str]) -> None:
    torch.manual_seed(7)
    trained = build_model(ModelConfig("small", block, [2, 1, 1, 2], 3))
    algorithms = {}
    if blur is not None:
        cf.apply_blurpool(trained, blur_first=blur)
    if depth and block == "bottleneck":
        cf.apply_stochastic_depth(trained, "ResNetBottleneck", drop_rate=0.3, stochastic_method="block", **depth)
        algorithms = {"depth": {**DEPTH, **depth}}
    weights = with_scales(trained.module.state_dict(), RunConfig(algorithms=algorithms))
    network = plain.network_of(weights, blur is not False)
    images = torch.rand(2, 3, 40, 56)
    with torch.no_grad():
        assert torch.equal(network(images), trained.module.eval()(images))


def test_other_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="not the weights of a ResNet"):
        plain.network_of({"linear.weight": torch.zeros(2, 2)})
    weights = build_model(ModelConfig("small", "basic", [1, 1, 1, 1], 3)).module.state_dict()
    with pytest.raises(ValueError, match=r"such as layer1.0.attention.weight"):
        plain.network_of({**weights, "layer1.0.attention.weight": torch.zeros(1)})
