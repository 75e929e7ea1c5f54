"""A run that was stopped or killed goes on as if nothing had happened, to the last bit."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from resnet_exp.core.files import read_json, read_lines
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.runs import checkpoints
from resnet_exp.runs.folder import RunFolder
from support.commands import RunCli
from support.parquet_files import write_parquet
from support.paths import TESTS

pytestmark = pytest.mark.usefixtures("compiled")

STOPPED, KILLED, DONE = 130, 1, 0
BATCHES, EPOCHS = 8, 3  # an epoch has 32 images, 4 a batch
# Short enough that the average moves and SAM takes both of its steps, before and after each interruption.
COMMON = (
    "dataset=imagefolder", "train_batch_size=4", "ssr=0.0334", "trace=true", "schedule.warmup=1ep",
    "algorithms.ema.half_life=8ba", "algorithms.ema.update_interval=2ba", "algorithms.sam.interval=3",
    "+callbacks.interrupter._target_=support.interrupter.Interrupter",
)  # fmt: skip


class Command:
    """One command line, given again and again; `interrupt` as in `interrupter`."""

    def __init__(self, train_cli: RunCli, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.train_cli, self.arguments, self.environment = train_cli, arguments, monkeypatch

    def __call__(self, runs: Path, interrupt: str = "never::") -> Any:
        self.environment.setenv("INTERRUPT", interrupt)
        return self.train_cli(*self.arguments, f"runs_dir={runs}")


@pytest.fixture
def command(train_cli: RunCli, tiny: list[str], photo_tree: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    tree = photo_tree()

    def make(*arguments: str) -> Command:
        return Command(train_cli, [*tiny, *COMMON, f"dataset.dir={tree}", *arguments], monkeypatch)

    return make


def only_run(runs: Path) -> RunFolder:
    (folder,) = runs.iterdir()
    return RunFolder(folder)


def outcome(run: RunFolder) -> dict[str, Any]:
    """Everything of a finished run that does not depend on the clock."""
    result = read_json(run.result)
    assert result is not None
    metrics = [{**row, "train_seconds": 0} for row in read_lines(run.metrics)]
    numbers = {key: result[key] for key in ("epochs", "batches", "top1", "top5", "eval_loss")}
    return {"trace": list(read_lines(run.trace)), "metrics": metrics, **numbers}


def assert_same(one: RunFolder, other: RunFolder) -> None:
    assert outcome(one) == outcome(other)
    expected, actual = (torch.load(run.weights) for run in (one, other))
    assert expected.keys() == actual.keys()
    assert [name for name in expected if not torch.equal(expected[name], actual[name])] == []


def assert_one_checkpoint(run: RunFolder) -> None:
    link = run.latest_checkpoint
    assert sorted(run.checkpoints.iterdir()) == sorted({link, link.resolve()})
    assert link.is_symlink() and len(list(run.checkpoints.iterdir())) == 2


def assert_clocks(run: RunFolder, tries: int, longest: float) -> None:
    """Clocks go on over the tries: none starts anew, none counts what lies between."""
    result = read_json(run.result)
    assert result is not None
    seconds = [row["train_seconds"] for row in read_lines(run.metrics)]
    timing = result["timing"]
    assert seconds == sorted(seconds) and seconds[-1] == timing["train_seconds"]
    assert 0 < timing["data_wait_seconds"] < timing["train_seconds"]
    assert timing["train_seconds"] + timing["eval_seconds"] < longest
    assert result["resumed"] == tries - 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "data", "workers", "interruptions"),
    [
        # In the middle of an epoch, twice in different ways.
        pytest.param(
            *("hot", "imagefolder", 0, [("6:SIGINT:launcher", STOPPED, 6), ("13:SIGKILL:rank", KILLED, 8)]),
            marks=pytest.mark.soak,
        ),
        # Behind the last batch of an epoch, before its evaluation; and behind the last checkpoint.
        pytest.param(
            *("hot", "imagefolder", 2, [("8:SIGINT:launcher", STOPPED, 8), ("end:SIGKILL:rank", KILLED, 24)]),
            marks=pytest.mark.soak,
        ),
        # The rank outlives its launcher for long enough to save.
        pytest.param("medium", "imagefolder", 0, [("11:SIGKILL:launcher", -9, 11)], marks=pytest.mark.soak),
        pytest.param("hot", "streaming", 1, [("6:SIGINT:launcher", STOPPED, 6)], marks=pytest.mark.soak),
        pytest.param("hot", "parquet", 1, [("6:SIGINT:launcher", STOPPED, 6)], marks=pytest.mark.soak),
        ("hot", "ffcv", 2, [("6:SIGINT:launcher", STOPPED, 6), ("13:SIGKILL:rank", KILLED, 8)]),
    ],
)
def test_goes_on_to_the_same_end(
    recipe: str,
    data: str,
    workers: int,
    interruptions: list[tuple[str, int, int]],
    command: Any,
    run_cli: RunCli,
    tmp_path: Path,
) -> None:
    words = [f"recipe={recipe}", f"data={data}", f"data.num_workers={workers}", "keep_checkpoints=true"]
    if data == "parquet":
        files = write_parquet(tmp_path / "photos", tmp_path / "parquet")
        words += [f"dataset.dir={files}", "data.loader.shuffle_block=8"]
    train = command(*words)
    whole = train(tmp_path / "whole")
    assert whole.returncode == DONE, whole.stderr + whole.stdout
    began = time.monotonic()
    for interruption, code, saved in interruptions:
        cut = train(tmp_path / "cut", interruption)
        assert cut.returncode == code, cut.stderr + cut.stdout
        run = only_run(tmp_path / "cut")
        assert f"-ba{saved}-" in run.latest_checkpoint.resolve().name
        assert read_json(run.result) is None
        if code != -9:
            assert "rerun the same command to continue" in cut.stdout + cut.stderr
    last = train(tmp_path / "cut")
    assert last.returncode == DONE, last.stderr + last.stdout
    uninterrupted, resumed = only_run(tmp_path / "whole"), only_run(tmp_path / "cut")
    assert_same(uninterrupted, resumed)
    assert len(outcome(resumed)["trace"]) == BATCHES * EPOCHS and len(outcome(resumed)["metrics"]) == EPOCHS
    assert_clocks(resumed, len(interruptions) + 1, longest=time.monotonic() - began)
    assert_one_checkpoint(uninterrupted)
    assert_one_checkpoint(resumed)
    train.train_cli = run_cli  # what it imports shows in a new process
    assert_done_already(train, tmp_path / "cut")


def assert_done_already(train: Command, runs: Path) -> None:
    train.environment.setenv("PYTHONPROFILEIMPORTTIME", "1")
    again = train(runs)
    train.environment.delenv("PYTHONPROFILEIMPORTTIME")
    assert again.returncode == DONE
    result = json.loads(only_run(runs).result.read_text())
    assert "already done" in again.stdout and f"{result['top1']:.2%}" in again.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in again.stderr.splitlines()}
    assert "resnet_exp" in imported and "torch" not in imported


def numbered_tree(root: Path, images: int) -> Path:
    """An image folder with one image a class: labels tell samples apart."""
    from PIL import Image

    for split in ("train", "val"):
        for number in range(images):
            folder = root / split / f"{number:02d}"
            folder.mkdir(parents=True)
            Image.new("RGB", (16, 16), (number, 0, 0)).save(folder / "image.jpg")
    return root


def test_ffcv_goes_on_within_an_epoch(tmp_path: Path) -> None:
    from resnet_exp.data import ffcv
    from resnet_exp.data.contract import Loader, Split
    from resnet_exp.data.ffcv.files import FFCVFiles

    root, batches = numbered_tree(tmp_path / "images", 22), 4  # of 5 images; the last 2 are left out
    files = {"train_file": None, "val_file": None, "cache_dir": str(tmp_path), "write_mode": "raw"}
    files |= {"max_resolution": 16, "compress_probability": 0.5, "jpeg_quality": 90}
    FFCVFiles(**files).prepare(str(root), ConversionOptions(1, print))
    split = Split(True, str(root), 22, 5, 16, 16, (0.5, 1.0), (1.0, 1.0), True, 17, 0, 1, 1, 2, False)

    def rest(loader: Loader) -> list[list[int]]:
        return [labels.tolist() for _, labels in loader]

    loader = ffcv.make_loader(split, os_cache=True, **files)
    epochs = [rest(loader) for _ in range(3)]
    assert [len({label for batch in epoch for label in batch}) for epoch in epochs] == [batches * 5] * 3
    assert epochs[0] != epochs[1] != epochs[2]
    for skipped in range(batches + 1):
        loader.seek(1, skipped)
        assert len(loader) == batches
        assert [rest(loader), rest(loader)] == [epochs[1][skipped:], epochs[2]]


def checkpoint(run: RunFolder, name: str, whole: bool = True) -> Path:
    run.checkpoints.mkdir(exist_ok=True)
    path = run.checkpoints / name
    torch.save({"epoch": name}, path)
    if not whole:
        path.write_bytes(path.read_bytes()[:-10])
    return path


def test_a_kill_between_two_links_costs_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    checkpoint(run, "ep1-ba8-rank0.pt")
    newest = checkpoint(run, "ep2-ba16-rank0.pt")
    checkpoint(run, "ep3-ba24-rank0.pt", whole=False)
    (run.checkpoints / ".latest.123").symlink_to("ep1-ba8-rank0.pt")
    checkpoints.repair(run)
    assert run.latest_checkpoint.resolve() == newest
    assert_one_checkpoint(run)


def test_repair_believes_the_link(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    named = checkpoint(run, "ep1-ba8-rank0.pt")
    checkpoints.point_to(run, named.name)
    checkpoint(run, "ep2-ba16-rank0.pt")
    checkpoints.repair(run)
    assert run.latest_checkpoint.resolve() == named
    assert_one_checkpoint(run)
