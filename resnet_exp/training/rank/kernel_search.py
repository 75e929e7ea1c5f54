"""cuDNN's search for the fastest kernels, where it is switched on: once for each shape, before the clock starts."""

from __future__ import annotations

import copy

import torch
from composer.core import State, get_precision_context
from composer.models import ComposerModel
from torch import Tensor

from resnet_exp.config import schedule
from resnet_exp.config.schema import RunConfig


def search_kernels(config: RunConfig, state: State) -> None:
    """Train and evaluate a copy of the model on black images of each shape of the run; changes nothing else.

    It does nothing unless ``torch.backends.cudnn.benchmark`` is true, as a callback of the user's can make it.
    """
    if not torch.backends.cudnn.benchmark:
        return
    model = copy.deepcopy(state.model.module if state.is_model_ddp else state.model)
    assert isinstance(model, ComposerModel)
    whole, part = config.rank_batch, config.hardware.microbatch
    with torch.random.fork_rng(), get_precision_context(state.precision):
        for side in sorted({*schedule.sizes(config)}):
            batch = _black(min(part, whole) if isinstance(part, int) else whole, side, state)
            loss = model.loss(model(batch), batch)
            assert isinstance(loss, Tensor)
            loss.backward()
        model.eval()
        with torch.no_grad():
            model(_black(config.rank_eval_batch, config.resolution.eval_crop, state))


def _black(count: int, side: int, state: State) -> tuple[Tensor, Tensor]:
    images = torch.zeros(count, 3, side, side).contiguous(memory_format=torch.channels_last)
    return state.device.batch_to_device((images, torch.zeros(count, dtype=torch.int64)))
