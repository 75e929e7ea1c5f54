"""cuDNN's search for the fastest kernels, where it is switched on: once for each shape, before the clock starts."""

from __future__ import annotations

import copy

import torch
from composer.core import State, get_precision_context
from torch import Tensor

from resnet_exp.config import schedule
from resnet_exp.config.schema import RunConfig
from resnet_exp.training.rank.memory_check import black_images, network, rng_kept


def search_kernels(config: RunConfig, state: State) -> None:
    """Train and evaluate a copy of the model on black images of each shape of the run; changes nothing else.

    It does nothing unless ``torch.backends.cudnn.benchmark`` is true, as a callback of the user's can make it.
    """
    if not torch.backends.cudnn.benchmark:
        return
    model = copy.deepcopy(network(state))
    whole, part = config.rank_batch, config.hardware.microbatch
    with rng_kept(state), get_precision_context(state.precision):
        for side in sorted({*schedule.sizes(config)}):
            batch = black_images(min(part, whole) if isinstance(part, int) else whole, side, torch.float32, state)
            loss = model.loss(model(batch), batch)
            assert isinstance(loss, Tensor)
            loss.backward()
        model.eval()
        with torch.no_grad():
            model(black_images(config.rank_eval_batch, config.resolution.eval_crop, torch.float32, state))
