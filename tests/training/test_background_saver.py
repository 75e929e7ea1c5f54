"""``speed.async_checkpoints``: the same files, written while training goes on; the newest whole one is always there."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resnet_exp.runs import checkpoints
from resnet_exp.runs.folder import RunFolder
from resnet_exp.training.speed.checkpoints import BackgroundSaver, on_host
from support.configs import make_config
from support.in_process import build_training

SMALL = (
    *("recipe=medium", "model=resnet14", "data=synthetic", "data.loader.train_images=8", "data.loader.val_images=4"),
    *("data.loader.distinct_images=4", "train_batch_size=4", "eval_batch_size=4", "resolution.train=32", "ssr=0.0334"),
    *("resolution.eval_crop=32", "resolution.eval_resize=40", "loggers=[]", "hardware=cpu", "schedule.warmup=1ep"),
    *("algorithms.ema.update_interval=1ba", "algorithms.ema.half_life=2ba", "algorithms.sam.interval=2"),
)


def make_training(folder: Path, *words: str) -> Any:
    return build_training(make_config(*SMALL, *words, f"runs_dir={folder}"))


def differences(one: Any, other: Any, name: str = "") -> list[str]:
    """Where two checkpoints differ, beside the clocks of training."""
    if isinstance(one, torch.Tensor):
        same = torch.equal(one, other) and one.dtype == other.dtype and one.stride() == other.stride()
        return [] if same else [name]
    if isinstance(one, np.ndarray):
        return [] if np.array_equal(one, other) else [name]
    if isinstance(one, dict):
        if type(one) is not type(other) or one.keys() != other.keys():
            return [name]
        return [found for key in one for found in differences(one[key], other[key], f"{name}.{key}")]
    if isinstance(one, list | tuple):
        pairs = zip(one, other, strict=True)
        return [found for index, pair in enumerate(pairs) for found in differences(*pair, f"{name}.{index}")]
    return [] if type(one) is type(other) and (one == other or "wct" in name) else [name]


def load(run: RunFolder) -> dict[str, Any]:
    return torch.load(run.latest_checkpoint, weights_only=False)


def without_clocks(values: dict[str, Any]) -> dict[str, Any]:
    """The state without the saver's own, the recorder's times, and the id that tells the two runs apart."""
    state = values["state"]
    del state["run_name"]
    state["callbacks"] = OrderedDict(
        (name, part)
        for name, part in state["callbacks"].items()
        if name not in ("CheckpointSaver", "BackgroundSaver", "Recorder")
    )
    return values


def test_the_same_checkpoint(tmp_path: Path) -> None:
    saved: list[dict[str, Any]] = []
    for words in ((), ("speed.async_checkpoints=true",)):
        training = make_training(tmp_path / str(len(words)), *words)
        training.trainer.fit()
        training.trainer.close()
        run = training.run
        assert sorted(run.checkpoints.iterdir()) == sorted({run.latest_checkpoint, run.latest_checkpoint.resolve()})
        assert run.latest_checkpoint.resolve().name == "ep3-ba6-rank0.pt"
        saved.append(without_clocks(load(run)))
    assert len(list(saved[0]["state"]["model"])) > 50
    assert [name for name in differences(saved[0], saved[1]) if not name.endswith("repr")] == []


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from composer.core import Callback

    training = make_training(tmp_path, "speed.async_checkpoints=true")
    goes_on, real_save = threading.Event(), torch.save
    kept: dict[str, torch.Tensor] = {}

    class Watcher(Callback):
        def epoch_checkpoint(self, state: Any, logger: Any) -> None:
            if not kept:
                kept.update({name: value.clone() for name, value in state.model.state_dict().items()})

        def batch_end(self, state: Any, logger: Any) -> None:
            if state.timestamp.batch.value == 3:
                assert not training.run.latest_checkpoint.exists()
                goes_on.set()
                training.saver._writing.result(300)

    def save(values: Any, file: Any) -> None:
        assert goes_on.wait(300)
        real_save(values, file)

    monkeypatch.setattr("resnet_exp.training.speed.checkpoints.torch.save", save)
    first: list[Any] = []
    monkeypatch.setattr(checkpoints, "remove_stale", lambda run: first or first.append(load(run)))
    training.trainer.state.callbacks.append(Watcher())
    training.trainer.fit()
    training.trainer.close()
    model = first[0]["state"]["model"]
    assert first[0]["state"]["timestamp"]["Timestamp"]["batch"] == 2
    assert [name for name, value in kept.items() if not torch.equal(model[name], value)] == []
    assert any(not torch.equal(model[name], value) for name, value in training.trainer.state.model.state_dict().items())


def test_a_kill_leaves_the_last_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path)
    run.checkpoints.mkdir()
    saver, half, killed = BackgroundSaver(run, "1ep"), threading.Event(), threading.Event()
    saver._write("ep1-ba2-rank0.pt", {"epoch": 1}, None)
    real_save = torch.save

    def save_half(values: Any, file: Any) -> None:
        real_save(values, file)
        file.flush()
        file.truncate(file.tell() // 2)
        half.set()
        killed.wait(300)
        raise OSError("killed")

    monkeypatch.setattr("resnet_exp.training.speed.checkpoints.torch.save", save_half)
    writing = saver._writing = saver._writer.submit(saver._write, "ep2-ba4-rank0.pt", {"epoch": 2}, None)
    assert half.wait(300)
    assert (run.checkpoints / "ep2-ba4-rank0.pt").exists(), "it is being written"
    checkpoints.check_checkpoint(run)
    checkpoints.repair(run)  # as the next attempt does
    assert torch.load(run.latest_checkpoint) == {"epoch": 1}
    killed.set()
    with pytest.raises(OSError, match="killed"):
        saver.finish()
    assert writing.done() and saver._writing is None
    assert torch.load(run.latest_checkpoint) == {"epoch": 1}


def test_a_write_that_fails_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(values: Any, file: Any) -> None:
        raise OSError(28, "No space left on device")

    training = make_training(tmp_path, "speed.async_checkpoints=true")
    monkeypatch.setattr("resnet_exp.training.speed.checkpoints.torch.save", fail)
    with pytest.raises(OSError, match="No space left"):
        training.trainer.fit()
    assert training.trainer.state.timestamp.batch.value < 6


def test_a_copy_is_of_its_own(tmp_path: Path) -> None:
    weight = torch.randn(4, 3, 5, 5).contiguous(memory_format=torch.channels_last)
    numbers = [2.0]
    values = OrderedDict(weight=weight, parts=[{"numbers": (1, numbers)}, weight])
    copied = on_host(values)
    before = weight.clone()
    weight.zero_()
    numbers.append(3.0)
    assert type(copied) is OrderedDict and copied["parts"][0] == {"numbers": (1, [2.0])}
    for each in (copied["weight"], copied["parts"][1]):
        assert torch.equal(each, before) and each.is_contiguous(memory_format=torch.channels_last)
