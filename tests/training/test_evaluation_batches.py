"""How many images are evaluated at a time does not change the result."""

from __future__ import annotations

from pathlib import Path

import pytest

from resnet_exp.config import schema
from resnet_exp.launch.prepare import prepare_data
from support.configs import make_config
from support.in_process import build_training


def test_the_result_is_that_of_one_large_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(
        "recipe=mild", "dataset=digits", "data=imagefolder", "eval_batch_size=360", "loggers=[]", "hardware=cpu",
        f"runs_dir={tmp_path}", f"data.cache_dir={tmp_path / 'cache'}",
    )  # fmt: skip
    prepare_data(config)
    found: list[tuple[list[int], dict[str, float]]] = []
    for most in (256, 360):
        monkeypatch.setattr(schema, "ORIGINAL_DEVICE_BATCH", most)
        training = build_training(config)
        batches = [len(labels) for _, labels in training.eval_loader]
        training.trainer.eval()
        metrics = training.trainer.state.eval_metrics["eval"]
        found.append((batches, {name: float(metric.compute()) for name, metric in metrics.items()}))
    (few, first), (one, second) = found
    assert (few, one) == ([256, 104], [360])
    assert (first["top1"], first["top5"]) == (second["top1"], second["top5"])
    assert first["loss"] == pytest.approx(second["loss"], rel=1e-6)
