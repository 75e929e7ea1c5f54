"""The original system's per-batch record, replayed: what does not depend on the data must come out exactly."""

from __future__ import annotations

import collections
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from resnet_exp.core.files import read_json, read_lines
from resnet_exp.runs.folder import RunFolder
from support.configs import make_config
from support.in_process import build_training
from support.original import RECIPES, original, original_lr, original_size


def make_run(tmp_path: Path, *overrides: str):
    config = make_config("loggers=[]", "hardware=cpu", f"runs_dir={tmp_path}", *overrides)
    config = replace(config, dataset=replace(config.dataset, dir=config.dataset.dir or str(tmp_path)))
    return build_training(config)


def folder_tree(root: Path, train: int = 30, val: int = 20, classes: int = 10) -> Path:
    """Noise images, as many as the original's run had: 10 classes, 30 to train and 20 to evaluate."""
    from PIL import Image

    for split, count in (("train", train), ("val", val)):
        for number in range(count):
            target = root / split / str(number % classes)
            target.mkdir(parents=True, exist_ok=True)
            noise = torch.randint(0, 256, (200, 220, 3), dtype=torch.uint8).numpy()
            Image.fromarray(noise).save(target / f"{number}.jpg")
    return root


@pytest.mark.soak
@pytest.mark.parametrize("recipe", RECIPES)
def test_replays_the_original_trace(recipe: str, tmp_path: Path, train_cli: Any) -> None:
    trace = original(recipe)
    tree = folder_tree(tmp_path / "images")
    done = train_cli(
        f"recipe={recipe}",
        f"ssr={trace['ssr']}",
        "data=imagefolder",
        "dataset=imagefolder",
        f"dataset.dir={tree}",
        "dataset.fit=none",
        "train_batch_size=8",
        "eval_batch_size=8",
        # The evaluations do not enter the comparison, and most of the time would go into them.
        "eval_interval=9ep",
        "hardware=cpu",
        "trace=true",
        f"runs_dir={tmp_path / 'runs'}",
        timeout=900,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    (folder,) = (tmp_path / "runs").glob(f"{recipe}-*")
    rows = list(read_lines(folder / "trace.jsonl"))
    assert [(row["epoch"], row["batch"]) for row in rows] == [(row["epoch"], row["batch"]) for row in trace["rows"]]
    assert [[row["height"], row["width"]] for row in rows] == [row["size"] for row in trace["rows"]]
    for ours, theirs in zip(rows, trace["rows"], strict=True):
        assert ours["lr"] == pytest.approx(theirs["lr"], rel=1e-9, abs=0)
    result = read_json(RunFolder(folder).result)
    assert result is not None
    assert (result["epochs"], result["val_images"]) == (trace["epochs"], 20)


@pytest.mark.parametrize("recipe", RECIPES)
def test_same_model_and_algorithms(recipe: str, tmp_path: Path) -> None:
    trace = original(recipe)
    tree = folder_tree(tmp_path / "images", train=20, val=10)
    folder = ["data=imagefolder", "dataset=imagefolder", f"dataset.dir={tree}", "train_batch_size=4"]
    run = make_run(tmp_path, f"recipe={recipe}", *folder)
    state = run.trainer.state
    assert sum(parameter.numel() for parameter in state.model.parameters()) == trace["params"]
    counts = collections.Counter(type(module).__name__ for module in state.model.modules())
    for name in ("Conv2d", "BatchNorm2d", "BlurConv2d", "BlurMaxPool2d", "Linear", "ReLU"):
        assert counts[name] == trace["modules"].get(name, 0), name
    stochastic = sum(hasattr(module, "drop_rate") for module in state.model.modules())
    assert stochastic == trace["modules"].get("SampleStochasticBottleneck", 0)
    assert [type(algorithm).__name__ for algorithm in state.algorithms] == trace["algorithms"]


def test_the_reference_formulas_are_the_originals() -> None:
    for recipe in RECIPES:
        trace = original(recipe)
        for row in trace["rows"]:
            assert original_lr(row["batch"], trace["epochs"], 3) == pytest.approx(row["lr"], rel=1e-9, abs=0)
            assert [original_size(recipe, row["epoch"], trace["epochs"])] * 2 == row["size"]


@pytest.mark.parametrize("recipe", ["baseline", *RECIPES])
@pytest.mark.parametrize(("ssr", "epochs"), [(0.05, 4), (0.36, 32), (0.7, 62), (1.0, 90), (2.8, 251)])
@pytest.mark.parametrize("batches", [1, 7, 625])
def test_schedules_at_any_length(recipe: str, ssr: float, epochs: int, batches: int, tmp_path: Path) -> None:
    from composer.core import Event, Timestamp

    overrides = [f"recipe={recipe}", f"ssr={ssr}", *synthetic(batches)]
    run = make_run(tmp_path, *overrides, *(["~algorithms.randaugment"] if recipe == "hot" else []))
    trainer, full = run.trainer, 224 if recipe == "baseline" else 176
    state = trainer.state
    assert state.max_duration is not None
    assert state.max_duration.value == epochs
    for batch in sorted(
        {*range(0, epochs * batches, max(1, epochs * batches // 97)), 1, batches, epochs * batches - 1}
    ):
        epoch = batch // batches
        if batch >= epochs * batches:
            continue
        state.timestamp = Timestamp(epoch=epoch, batch=batch, batch_in_epoch=batch % batches)
        state.batch = (torch.zeros(1, 3, full, full), torch.zeros(1, dtype=torch.long))
        trainer.engine.run_event(Event.AFTER_DATALOADER)
        trainer.engine.run_event(Event.BATCH_START)
        lr = state.optimizers[0].param_groups[0]["lr"]
        assert lr == pytest.approx(original_lr(batch, epochs, batches), rel=1e-9, abs=1e-15)
        assert state.batch[0].shape[-2:] == (original_size(recipe, epoch, epochs),) * 2


def synthetic(batches: int) -> list[str]:
    """Data that costs nothing: as many batches an epoch as asked for, of 2 images at full size; a small network."""
    images = [f"data.loader.train_images={2 * batches}", "data.loader.val_images=2", "data.loader.distinct_images=1"]
    batch = ["train_batch_size=2", "eval_batch_size=2"]
    return ["data=synthetic", "dataset=imagenet", "dataset.dir=unused", "model=resnet14", *images, *batch]
