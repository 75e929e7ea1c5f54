"""A checkpoint is data: nothing in it is run, and what a run saves it can load again."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from resnet_exp.core.errors import RequestError
from resnet_exp.runs.folder import RunFolder
from support.commands import RunCli
from support.keeper import Keeper
from support.paths import TESTS

KEEPER = "+callbacks.keeper._target_=support.keeper.Keeper"
INTERRUPTER = "+callbacks.interrupter._target_=support.interrupter.Interrupter"


class Call:
    """Pickled, it is a call of a function, done where it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


@pytest.fixture
def request_of(tiny: list[str], photo_tree: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setenv("KEPT", str(tmp_path / "kept"))
    data = ["data=imagefolder", "dataset=imagefolder", f"dataset.dir={photo_tree()}", "train_batch_size=4"]
    return [*tiny, *data, "run_id=mine"]


# Any complete checkpoint becomes the latest one where there is none.
@pytest.mark.parametrize("name", ["latest-rank0.pt", "stopped-ba6-rank0.pt"])
def test_a_planted_checkpoint_is_refused(name: str, request_of: list[str], train_cli: RunCli, tmp_path: Path) -> None:
    run, planted = RunFolder(tmp_path / "runs" / "mine"), tmp_path / "planted"
    run.checkpoints.mkdir(parents=True)
    torch.save({"state": {"model": Call(os.mkdir, str(planted))}}, run.checkpoints / name)
    done = train_cli(*request_of, "recipe=hot")
    assert not planted.exists()
    expected = (
        f"checkpoint {run.checkpoints / name} names {os.mkdir.__module__}.mkdir, which a checkpoint must not hold; "
        f"nothing of it was run; remove {run.checkpoints} to train from the beginning, or if it is a class of yours, "
        "allow it in its module: torch.serialization.add_safe_globals([mkdir])\n"
    )
    assert (done.returncode, done.stderr) == (2, expected)
    assert not run.result.exists() and (run.checkpoints / name).exists()


@pytest.mark.slow
def test_algorithms_are_not_made_from_texts_of_a_checkpoint_and_states_come_back(
    request_of: list[str], train_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERRUPT", "6:SIGINT:launcher")
    assert train_cli(*request_of, "recipe=hot", KEEPER, INTERRUPTER).returncode == 130
    run, planted = RunFolder(tmp_path / "runs" / "mine"), tmp_path / "planted"
    saved = torch.load(run.latest_checkpoint, weights_only=False)
    changed = {name for name, facts in saved["state"]["algorithms"] if "repr" in facts}
    assert {"BlurPool", "StochasticDepth"} <= changed
    for _, facts in saved["state"]["algorithms"]:
        facts["repr"] = f"__builtins__['__import__']('os').mkdir({str(planted)!r})"
    torch.save(saved, run.latest_checkpoint.resolve())
    monkeypatch.setenv("INTERRUPT", "never::")
    done = train_cli(*request_of, "recipe=hot", KEEPER, INTERRUPTER)
    assert done.returncode == 0, done.stderr
    assert not planted.exists()
    assert (tmp_path / "kept").read_text() == repr(Keeper().state)


def test_a_state_that_could_not_be_loaded_is_refused_before_training(
    request_of: list[str], train_cli: RunCli, tmp_path: Path
) -> None:
    done = train_cli(*request_of, "recipe=mild", KEEPER, "+callbacks.keeper.listed=false")
    expected = (
        "support.keeper.Keeper.state_dict() holds support.keeper.Unlisted, which a checkpoint must not hold; return "
        "numbers, texts, lists and tensors, or if it is a class of yours, allow it in its module: "
        "torch.serialization.add_safe_globals([Unlisted])\n"
    )
    assert (done.returncode, done.stderr) == (2, expected)
    assert not (tmp_path / "runs" / "mine" / "metrics.jsonl").exists()


def payload(function: Callable[..., Any], *arguments: object) -> bytes:
    file = io.BytesIO()
    torch.save(Call(function, *arguments), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (payload(eval, "1"), "names builtins.eval, which"),
        (payload(getattr, "", "join"), "names builtins.getattr, which"),
        (payload(torch.load, "x"), "names torch.serialization.load, which"),
        (pickle.dumps(Call(os.mkdir, "planted"), protocol=2), "is damaged; remove"),
        (b"", "is damaged; remove"),
        (b"root:x:0:0:root:/root", "is damaged; remove"),
        (payload(eval, "1")[:-9], "is damaged; remove"),
    ],
)
def test_composer_loads_nothing_else(content: bytes, says: str, tmp_path: Path) -> None:
    from composer.utils import checkpoint

    from resnet_exp.training.patches import checkpoint_loading

    checkpoint_loading.restrict()
    path = tmp_path / "mine.pt"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=f"checkpoint {path} {says}"):
        checkpoint.safe_torch_load(path)


def test_composer_loads_what_runs_save(tmp_path: Path) -> None:
    from composer.utils import checkpoint, reproducibility

    from resnet_exp.training.patches import checkpoint_loading

    checkpoint_loading.restrict()
    path = tmp_path / "mine.pt"
    state = {"rng": reproducibility.get_rng_state()[0], "kept": Keeper().state}
    torch.save(state, path)
    loaded = checkpoint.safe_torch_load(path)
    assert repr(loaded) == repr(state) and loaded["kept"]["best"] == state["kept"]["best"]
