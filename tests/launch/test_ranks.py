"""Several ranks: the numbers of one, the same end after every interruption, whoever starts them, and nothing left."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from resnet_exp.config.schema import HardwareConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import read_json, read_lines, write_json
from resnet_exp.data import imagefolder, synthetic
from resnet_exp.data.contract import IGNORED, Batch, Loader, Split
from resnet_exp.loggers import metric_names
from resnet_exp.runs.folder import RunFolder
from resnet_exp.training.rank import external_ranks
from support.commands import TINY, Finished, RunCli, left_running
from support.paths import TESTS
from support.photos import PhotoTree
from support.ports import unused_port

MINE = ("data=imagefolder", "dataset=imagefolder", "run_id=mine", "trace=true")
Train = Callable[..., Finished]


@pytest.fixture
def train(
    train_cli: RunCli, tiny: list[str], photo_tree: PhotoTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Train]:
    """Train on 32 images and evaluate 7, which are not a multiple of 2 or 3; nothing may be left running."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as torchrun has it: more threads add numbers in another order
    tree = photo_tree()
    next((tree / "val" / "china").iterdir()).unlink()

    def run(runs: str, *args: str, fault: str = "-1::-1") -> Finished:
        monkeypatch.setenv("FAULT", fault)
        done = train_cli(*tiny, *MINE, f"dataset.dir={tree}", f"runs_dir={tmp_path / runs}", *args)
        assert left_running(tmp_path) == []
        return done

    yield run
    assert left_running(tmp_path) == []


def result_of(run: RunFolder) -> dict[str, Any]:
    result = read_json(run.result)
    assert result is not None
    return result


def column(path: Path, name: str) -> list[float]:
    return [row[name] for row in read_lines(path)]


@pytest.mark.slow
def test_two_ranks_have_the_numbers_of_one(train: Train, tmp_path: Path) -> None:
    """Mild draws no random numbers on the device; microbatches of 3 do not divide a rank's share of 8."""
    common = ["recipe=mild", "train_batch_size=16", "eval_batch_size=4", "ssr=0.0334", "schedule.warmup=1ep"]
    common += ["algorithms.ema.half_life=2ba", "algorithms.ema.update_interval=1ba", "optimizer.lr=0.0005"]
    common += ["+algorithms.plain._target_=support.rank_faults.NoBatchNorm"]
    parts = "hardware.device_train_microbatch_size=3"
    for runs, extra in {"one": [], "two": ["hardware.devices=2", parts]}.items():
        done = train(runs, *common, *extra)
        assert done.returncode == 0, done.stderr + done.stdout
    one, two = (RunFolder(tmp_path / runs / "mine") for runs in ("one", "two"))
    assert len(column(one.trace, "loss")) == 6
    for name in ("height", "lr"):
        assert column(two.trace, name) == column(one.trace, name)
    assert column(two.trace, "loss") == pytest.approx(column(one.trace, "loss"), rel=1e-4)
    losses = column(one.metrics, "loss")
    assert abs(losses[0] - losses[-1]) > 0.01, "it has learned: the runs could differ"
    for name in ("loss", "top1", "top5"):
        assert column(two.metrics, name) == pytest.approx(column(one.metrics, name), rel=1e-4)
    expected, actual = result_of(one), result_of(two)
    for name in ("epochs", "batches", "train_images", "val_images"):
        assert actual[name] == expected[name]


# Hot draws random numbers on the device, and its SAM climbs by the gradient of each rank's own share.
HOT = (
    "recipe=hot", "hardware.devices=2", "train_batch_size=4", "eval_batch_size=4", "ssr=0.0334", "schedule.warmup=1ep",
    "algorithms.ema.half_life=8ba", "algorithms.ema.update_interval=2ba", "algorithms.sam.interval=3",
    "+callbacks.fault._target_=support.rank_faults.Fault",
)  # fmt: skip


def test_a_rank_that_fails_ends_at_once(run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its libraries wait for at exit: its launcher ends the other ranks only then. Trackers are closed."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setenv("FAULT", "4:stuck:0")
    words = ("recipe=mild", "hardware.devices=2", "+callbacks.fault._target_=support.rank_faults.Fault", "run_id=mine")
    images = ("data=synthetic", "data.loader.train_images=64", "data.loader.val_images=8", "loggers=[tensorboard]")
    done = run_cli(*TINY, *words, *images)
    assert done.returncode == 1, done.stderr
    assert re.fullmatch(r"ValueError: this is rank 0 \(.*rank_faults\.py, line \d+\)\n", done.stderr), done.stderr
    run = RunFolder(tmp_path / "runs" / "mine")
    assert failure_of(run)["rank"] == 0 and "this is rank 0" in run.rank_log(0).read_text()
    read = EventAccumulator(str(tmp_path / "runs" / "tensorboard" / "mine"))
    read.Reload()
    assert [event.step for event in read.Scalars(metric_names.LOSS)] == [1, 2, 3]
    assert left_running(tmp_path) == []


@pytest.mark.soak
def test_two_ranks_end_the_same_whoever_starts_and_stops_them(
    train: Train, run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, whole = RunFolder(tmp_path / "cut" / "mine"), RunFolder(tmp_path / "whole")
    stopped = train("cut", *HOT, fault="6:launcher-SIGTERM:0")
    assert stopped.returncode == 130, stopped.stderr + stopped.stdout
    assert "-ba6-" in cut.latest_checkpoint.resolve().name
    assert read_json(cut.failure) is None

    killed = train("cut", *HOT, fault="13:SIGKILL:1")
    said = "rank 1 was ended by SIGKILL (out of memory?); rerun the same command to continue from the last checkpoint"
    assert (killed.returncode, killed.stderr) == (1, said + "\n"), killed.stdout
    assert failure_of(cut)["rank"] == 1
    assert time.time() - cut.trace.stat().st_mtime < 120

    failed = train("cut", *HOT, fault="14:raise:1")
    assert failed.returncode == 1, failed.stdout
    assert re.fullmatch(r"ValueError: this is rank 1 \(.*rank_faults\.py, line \d+\)\n", failed.stderr), failed.stderr
    failure = failure_of(cut)
    assert failure["rank"] == 1 and "rank_faults.py" in failure["traceback"]

    monkeypatch.setenv("FAULT", "19:launcher-SIGKILL:1")
    programs = Path(sys.executable).parent
    with unused_port() as port:
        assert launched([str(programs / "composer"), "-n", "2", f"--master_port={port}"], cut).returncode == -9
    wait_for_end(tmp_path)
    assert "-ba19-" in cut.latest_checkpoint.resolve().name

    last = train("cut", *HOT)
    assert last.returncode == 0, last.stderr + last.stdout
    whole.path.mkdir()
    whole.config.write_text(cut.config.read_text())
    write_json(whole.failure, {"error": "of an earlier try"})
    with unused_port() as port:
        done = launched([str(programs / "torchrun"), "--nproc-per-node=2", f"--master-port={port}"], whole)
    assert done.returncode == 0, done.stderr + done.stdout
    assert_same(cut, whole)
    assert read_json(whole.failure) is None
    assert {"host", "packages"} <= json.loads(whole.environment.read_text()).keys()
    assert_the_weights_are_those_evaluated(whole)
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    again = run_cli(str(whole.path), module="resnet_exp.train", timeout=200)
    assert again.returncode == 0 and "of 7 images, each seen once" in again.stdout, "already done"


def failure_of(run: RunFolder) -> dict[str, Any]:
    failure = read_json(run.failure)
    assert failure is not None
    return failure


def launched(launcher: list[str], run: RunFolder) -> Finished:
    line = [*launcher, "-m", "resnet_exp.train", str(run.path)]
    # Ranks outlive a launcher that is killed, and with it the pipes: hence files.
    with (run.path.parent / "out").open("w+") as out, (run.path.parent / "err").open("w+") as err:
        code = subprocess.run(line, cwd=run.path.parent, stdout=out, stderr=err, timeout=300).returncode
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(line, code, out.read(), err.read())


def wait_for_end(folder: Path) -> None:
    deadline = time.monotonic() + 120
    while left_running(folder) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left_running(folder) == []


def assert_same(one: RunFolder, other: RunFolder) -> None:
    assert list(read_lines(one.trace)) == list(read_lines(other.trace))
    for name in ("epoch", "batches", "loss", "top1", "top5"):
        assert column(one.metrics, name) == column(other.metrics, name)
    expected, actual = (torch.load(run.weights) for run in (one, other))
    assert [name for name in expected if not torch.equal(expected[name], actual[name])] == []


def assert_the_weights_are_those_evaluated(run: RunFolder) -> None:
    """Both ranks evaluate with the averages of ``weights.pt``, though each has BatchNorm statistics of its own."""
    import composer.functional as cf
    from composer.devices import DeviceCPU

    from resnet_exp.launch.config_file import read_config
    from resnet_exp.training.loaders import Normalize, build_loader
    from resnet_exp.training.model import MeanCrossEntropy, build_model

    config = read_config(run)
    model = build_model(config.model)
    cf.apply_blurpool(model, min_channels=16)
    depth = {name: value for name, value in config.algorithms["stochastic_depth"].items() if name[0] in "ds"}
    cf.apply_stochastic_depth(model, "ResNetBottleneck", **depth)
    model.module.load_state_dict(torch.load(run.weights))
    model.eval()
    normalize = Normalize(DeviceCPU(), config.dataset.mean, config.dataset.std, torch.float32)
    loss = MeanCrossEntropy()
    with torch.no_grad():
        for batch in build_loader(config, train=False):
            images, labels = normalize(batch)
            loss.update(model.module(images), labels)
    assert float(loss.compute()) == pytest.approx(result_of(run)["eval_loss"], rel=1e-5)


@pytest.mark.slow
def test_a_loss_that_is_no_number_on_one_rank_ends_all(train: Train, tmp_path: Path) -> None:
    done = train("runs", *HOT, fault="2:nan:1")
    assert done.returncode == 1
    assert done.stderr.startswith("loss is nan at epoch 0, batch 1 (learning rate "), done.stderr + done.stdout
    logs = [(tmp_path / "runs" / "mine" / f"rank{rank}.log").read_text() for rank in range(2)]
    assert ["RunFailed: loss is nan" in log for log in logs] == [True, True]


def test_another_number_of_ranks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(Path("/runs/mine"))
    for name, value in {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    external_ranks.check_world(HardwareConfig(devices=2, nodes=1), run)
    for devices, nodes, flags in [(0, 1, "--nproc-per-node 1"), (1, 2, "--nnodes 2 --nproc-per-node 1")]:
        with pytest.raises(RequestError) as refused:
            external_ranks.check_world(HardwareConfig(devices=devices, nodes=nodes), run)
        assert str(refused.value) == (
            f"WORLD_SIZE=2 (LOCAL_WORLD_SIZE=2) differs from the {nodes} ranks of this run (hardware.devices={devices},"
            f" hardware.nodes={nodes}); use torchrun {flags} -m resnet_exp.train /runs/mine, or leave RANK and "
            "WORLD_SIZE out"
        )


def test_a_lone_rank_of_two_is_refused_in_one_line(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed = run_cli("--cfg", "job", "--resolve", "hardware=cpu", "hardware.devices=2", "data=synthetic")
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(composed.stdout)
    monkeypatch.setenv("RANK", "0")
    done = run_cli(str(folder), module="resnet_exp.train", timeout=200)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith("WORLD_SIZE=1 (LOCAL_WORLD_SIZE=1) differs from the 2 ranks of this run")
    assert [path.name for path in folder.iterdir()] == ["config.yaml"]


def test_the_node_is_known_by_both_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_ranks, "die_with_parent", lambda number, parent: None)
    for name in external_ranks.SINGLE:
        # Restores it, which monkeypatch.delenv of a missing name would not.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("GROUP_RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "8")
    external_ranks.complete_environment()
    assert (os.environ["NODE_RANK"], os.environ["WORLD_SIZE"], os.environ["LOCAL_RANK"]) == ("3", "8", "0")


def _folder(split: Split) -> Loader:
    return imagefolder.make_loader(split)


def _made_up(split: Split) -> Loader:
    return synthetic.make_loader(split, train_images=32, val_images=7, distinct_images=5)


@pytest.mark.parametrize("make", [_folder, _made_up])
def test_ranks_share_what_one_would_see(make: Callable[[Split], Loader], photo_tree: PhotoTree) -> None:
    tree = photo_tree()
    next((tree / "val" / "china").iterdir()).unlink()
    base = Split(
        train=True, root=str(tree), classes=2, batch_size=6, crop=8, resize=10, crop_scale=(0.3, 1.0),
        crop_ratio=(0.75, 1.33), hflip=True, seed=5, rank=0, world_size=1, num_workers=0, prefetch_factor=2,
        on_gpu=False,
    )  # fmt: skip

    def together(ranks: int, train: bool) -> list[list[tuple[bytes, int]]]:
        """Per global batch what all ranks see: pixels and label, in no order."""
        splits = [
            replace(base, train=train, rank=rank, world_size=ranks, batch_size=6 // ranks) for rank in range(ranks)
        ]
        loaders = [make(split) for split in splits]
        for loader in loaders:
            loader.seek(1, 0)
        shares: list[list[Batch]] = [list(loader) for loader in loaders]
        return [
            sorted(
                (image.numpy().tobytes(), int(label))
                for images, labels in batch
                for image, label in zip(images, labels, strict=True)
            )
            for batch in zip(*shares, strict=True)
        ]

    alone, evaluated = together(1, train=True), together(1, train=False)
    assert [len(batch) for batch in alone] == [6] * 5
    assert [len(batch) for batch in evaluated] == [6, 1]
    for ranks in (2, 3):
        assert together(ranks, train=True) == alone
        shared = together(ranks, train=False)
        assert len(shared) == 2 and shared[0] == evaluated[0]
        # What fills up the last batch is marked, or left to Composer, which knows a DistributedSampler's.
        assert len(shared[1]) == ranks
        if make is _made_up:
            assert [label for _, label in shared[1]].count(IGNORED) == ranks - 1
        assert evaluated[1][0] in shared[1]
