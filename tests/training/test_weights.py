"""``weights.pt`` holds what was evaluated: the average where there is one."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(("started", "active", "expected"), [(False, False, 2), (True, False, 1), (True, True, 2)])
def test_ema_weights(started: bool, active: bool, expected: int) -> None:
    import torch
    from composer.algorithms.ema.ema import EMAParameters

    from resnet_exp.training.algorithms.ema import EMA, ema_weights

    layer = torch.nn.Linear(1, 1)
    model = torch.nn.ModuleDict({"module": layer})
    ema = EMA(half_life="100ba", update_interval="20ba")
    torch.nn.init.constant_(layer.weight, 1)
    ema.ema_model, ema.ema_started, ema.ema_weights_active = EMAParameters(model), started, active
    torch.nn.init.constant_(layer.weight, 2)
    weights = ema_weights(model, [ema])
    assert sorted(weights) == ["bias", "weight"]
    assert weights["weight"].item() == expected
