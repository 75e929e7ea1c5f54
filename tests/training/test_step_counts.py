"""The step costs what its mathematics costs: kernels, waits of the host and collectives, on a simulated GPU.

``benchmarks/step_counts.py`` prints the same numbers.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from support.commands import RunCli
from support.paths import ROOT, TESTS

# The average starts in the second batch, with copies of all weights, and moves in the fourth.
SOON = ("algorithms.ema.update_interval=2ba", "algorithms.ema.half_life=10ba")


@pytest.fixture
def count_steps(monkeypatch: pytest.MonkeyPatch) -> Any:
    from resnet_exp.training.step import exchange

    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    # However slow this machine is.
    monkeypatch.setattr(exchange, "MOST_SECONDS", 1e9)
    return importlib.import_module("simulated_gpu").count_steps


def test_a_step_of_mild(count_steps: Any) -> None:
    steps = count_steps("mild", 4, *SOON)
    usual, average = steps[2], steps[3]
    assert 400 < usual.kernels.total() <= 500, usual.kernels
    assert average.kernels.total() <= 830, average.kernels
    for step in (usual, average):
        assert 1 <= step.waits.total() <= 3, step.waits
        assert not step.collectives


@pytest.mark.parametrize("recipe", ["baseline", "medium", "hot"])
def test_a_step_of_the_other_recipes(recipe: str, count_steps: Any) -> None:
    sam = ["algorithms.sam.interval=3"] if recipe != "baseline" else []
    loss = ["algorithms=[label_smoothing,cutmix]"] if recipe == "baseline" else []
    steps = count_steps(recipe, 10, "model=resnet14", *sam, *loss)
    assert 1 <= steps[3].waits.total() <= 3 and not steps[3].collectives, steps[3]
    if sam:  # of its two passes, the first leaves the ranks with gradients of their own
        assert 2 <= steps[2].waits.total() <= 3, steps[2].waits
        assert steps[2].collectives == {"all_reduce": 1}
    exchanging = [number for number, step in enumerate(steps) if step.waits["copy to the host"]]
    assert exchanging == [0, 8]


def test_microbatches_are_not_copied(count_steps: Any) -> None:
    step = count_steps("mild", 3, "model=resnet14", "resolution.train=128", "hardware.device_train_microbatch_size=1")[
        2
    ]
    assert step.kernels["max_pool2d_with_indices"] == 2, "two microbatches"
    assert step.kernels["clone"] == 0, step.kernels


@pytest.mark.slow
def test_two_ranks_exchange_gradients_and_nothing_else(
    train_cli: RunCli, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    images = [f"data.loader.{name}={count}" for name, count in (("train_images", 88), ("val_images", 4))]
    counted = "+callbacks.counted._target_=support.collectives.Collectives"
    done = train_cli(
        *tiny, *images, "recipe=mild", "data=synthetic", "dataset=imagenet", "dataset.dir=unused", "ssr=0.0112",
        "hardware.devices=2", counted, f"+callbacks.counted.path={tmp_path / 'counts.json'}", f"runs_dir={tmp_path}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    batches = json.loads((tmp_path / "counts.json").read_text())
    gradients = batches[2]
    assert gradients.keys() == {"allreduce_"} and gradients["allreduce_"] <= 3
    assert [number for number, batch in enumerate(batches[2:], 2) if batch != gradients] == [8, 10]
    assert batches[8] == batches[10] == {"allreduce_": gradients["allreduce_"] + 1}
