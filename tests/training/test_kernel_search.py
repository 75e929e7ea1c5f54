"""A search for kernels before training leaves no trace in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from resnet_exp.training.rank import kernel_search
from support.configs import make_config
from support.in_process import build_training


def test_a_search_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = ["data.loader.train_images=8", "data.loader.val_images=4", "data.loader.distinct_images=1"]
    sizes = ["train_batch_size=4", "eval_batch_size=4", "resolution.train=32", "resolution.eval_crop=32"]
    config = make_config(
        "recipe=medium", "model=resnet14", "data=synthetic", *images, *sizes, "loggers=[]", "hardware=cpu",
        "ssr=0.1", "resolution.eval_resize=40", f"runs_dir={tmp_path}",
    )  # fmt: skip
    state = build_training(config).trainer.state
    black: Callable[..., tuple[torch.Tensor, torch.Tensor]] = kernel_search.black_images
    shapes: list[tuple[int, int]] = []
    monkeypatch.setattr(
        kernel_search,
        "black_images",
        lambda count, side, *rest: shapes.append((count, side)) or black(count, side, *rest),
    )
    before = {name: value.clone() for name, value in state.model.state_dict().items()}, torch.get_rng_state()
    kernel_search.search_kernels(config, state)
    assert shapes == [], "it is not switched on"
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    kernel_search.search_kernels(config, state)
    assert shapes[-1] == (4, 32) and shapes[:-1] == sorted(set(shapes[:-1])) and len(shapes) > 3
    after = state.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before[0].items())
    assert torch.equal(torch.get_rng_state(), before[1])
    assert all(weight.grad is None for weight in state.model.parameters())
