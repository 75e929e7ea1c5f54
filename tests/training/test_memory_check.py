"""Too little memory shows before training begins, with what would fit; where there is enough, nothing changes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from resnet_exp.core.errors import RequestError
from resnet_exp.runs.folder import RunFolder
from resnet_exp.training.rank.memory_check import check_memory, held_memory
from support.commands import RunCli
from support.configs import make_config
from support.in_process import build_training
from support.paths import TESTS
from support.small_memory import limit

if TYPE_CHECKING:
    from resnet_exp.training.trainer import Training

SIDE = 32
TRAINED = 30  # ColOut leaves these columns
# A bottleneck in each stage, so that stochastic depth draws random numbers.
SMALL = (
    "recipe=hot", "model.block=bottleneck", "model.layers=[1,1,1,1]", "model.width_per_group=4", "loggers=[]",
    f"resolution.train={SIDE}", f"resolution.eval_crop={SIDE}", "resolution.eval_resize=40", "hardware=cpu",
)  # fmt: skip
IMAGES = ("data.loader.train_images=32", "data.loader.val_images=8", "data.loader.distinct_images=4")
SYNTHETIC = (*SMALL, "data=synthetic", "~algorithms.randaugment", "ssr=0.1", *IMAGES)


def make_training(tmp_path: Path, *words: str) -> Training:
    config = make_config(*SYNTHETIC, "hardware.check_memory=true", f"runs_dir={tmp_path}", *words)
    return build_training(config)


def numbers(training: Training) -> tuple[list[torch.Tensor], tuple[object, ...]]:
    """All that a later step could notice: tensors, and the rest."""
    state = training.trainer.state
    tensors = [torch.get_rng_state(), *(value.clone() for value in state.model.state_dict().values())]
    grads = [weight.grad for weight in state.model.parameters()]
    modes = [module.training for module in state.model.modules()]
    kernels = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    taken = [len(optimizer.state) for optimizer in state.optimizers]
    return tensors, (grads, modes, random.getstate(), str(np.random.get_state()), kernels, taken)


def assert_same(one: tuple[list[torch.Tensor], object], other: tuple[list[torch.Tensor], object]) -> None:
    assert all(torch.equal(*pair) for pair in zip(one[0], other[0], strict=True))
    assert one[1] == other[1]


def test_the_check_changes_nothing(tmp_path: Path) -> None:
    training = make_training(tmp_path, "train_batch_size=8", "eval_batch_size=8")
    tried: list[tuple[bool, torch.Size]] = []
    model = training.trainer.state.model
    first = next(module for module in model.modules() if isinstance(module, torch.nn.Conv2d))
    first.register_forward_pre_hook(lambda module, inputs: tried.append((module.training, inputs[0].shape)))
    before = numbers(training)
    check_memory(training.config, training.trainer.state)
    assert tried == [(True, (8, 3, TRAINED, TRAINED)), (False, (8, 3, SIDE, SIDE))], "the size at the end"
    assert_same(numbers(training), before)


@pytest.mark.parametrize("several", [False, True])
def test_a_step_holds_momentum_averages_and_one_copy_of_sam(tmp_path: Path, several: bool) -> None:
    training = make_training(tmp_path, "train_batch_size=8", "eval_batch_size=8")
    weights = sum(weight.numel() for weight in training.trainer.state.model.parameters())
    held = held_memory(training.trainer.state, several)
    assert sum(tensor.numel() for tensor in held) == (4 if several else 3) * weights


@pytest.mark.parametrize(
    ("words", "fit", "says"),
    [
        (
            ("train_batch_size=16", "hardware.device_train_microbatch_size=8"), 2,
            "hardware.device_train_microbatch_size=8: training on 8 images of 30 px needs more memory than there is "
            "({}); use hardware.device_train_microbatch_size=2",
        ),
        (
            ("train_batch_size=12",), 5,
            "train_batch_size=12: training on a device's share of 12 images of 30 px needs more memory than there is "
            "({}); use hardware.device_train_microbatch_size=3",
        ),
        (
            ("train_batch_size=12",), 0,
            "train_batch_size=12: training on a device's share of 12 images of 30 px needs more memory than there is "
            "({}); use a smaller model",
        ),
        (
            ("train_batch_size=4", "eval_batch_size=8"), 4,
            "eval_batch_size=8: evaluating 8 images of 32 px at a time needs more memory than there is ({}); "
            "use eval_batch_size=2",
        ),
    ],
)  # fmt: skip
def test_what_fits_is_found_by_halving(tmp_path: Path, words: tuple[str, ...], fit: int, says: str) -> None:
    training = make_training(tmp_path, "eval_batch_size=4", *words)
    state = training.trainer.state
    limit(state.model, fit * TRAINED**2, 2 * SIDE**2 if "eval_batch_size=8" in words else 4 * SIDE**2)
    before = numbers(training)
    with pytest.raises(RequestError) as refused:
        check_memory(training.config, state)
    room = str(refused.value).partition("(")[2].partition(")")[0]
    assert str(refused.value) == says.format(room) and room.endswith(" GiB")
    assert_same(numbers(training), before)


def test_ranks_that_wait_for_each_other_try_once(tmp_path: Path) -> None:
    """With SyncBatchNorm, whose layers sum over all ranks: a rank that began again would wait for ever."""
    training = make_training(tmp_path, "train_batch_size=8", "eval_batch_size=8")
    model, tried = training.trainer.state.model, list[int]()
    model.add_module("sync", torch.nn.SyncBatchNorm(3))
    first = next(module for module in model.modules() if isinstance(module, torch.nn.Conv2d))
    first.register_forward_pre_hook(lambda module, inputs: tried.append(len(inputs[0])))
    limit(model, 0, 8 * SIDE**2)
    with pytest.raises(RequestError, match=r"use hardware\.device_train_microbatch_size=4$"):
        check_memory(training.config, training.trainer.state)
    assert tried == [8]


def test_other_errors_are_not_taken_for_little_memory(tmp_path: Path) -> None:
    training = make_training(tmp_path, "train_batch_size=4", "eval_batch_size=4")
    first = next(iter(training.trainer.state.model.parameters()))
    first.data = first.data[:, :2]
    with pytest.raises(RuntimeError, match="expected input"):
        check_memory(training.config, training.trainer.state)


def test_it_is_for_gpus_unless_it_is_asked_for(tmp_path: Path) -> None:
    training = make_training(tmp_path, "train_batch_size=4", "eval_batch_size=4")
    limit(training.trainer.state.model, 0, 0)
    for asked in (None, False):
        training.config.hardware.check_memory = asked
        check_memory(training.config, training.trainer.state)
    asking = make_config(*SYNTHETIC, "hardware.check_memory=true").run_id
    assert asking == make_config(*SYNTHETIC).run_id == make_config(*SYNTHETIC, "hardware.check_memory=false").run_id


RANKS = (
    *SYNTHETIC, "ssr=0.0334", "trace=true",
    "hardware.devices=2", "train_batch_size=16", "eval_batch_size=16", "hardware.device_train_microbatch_size=4",
)  # fmt: skip


def test_runs_with_and_without_it_are_the_same(train_cli: RunCli, tmp_path: Path) -> None:
    """On two ranks, since the check trains below what connects them."""
    runs = [RunFolder(tmp_path / name / "run") for name in ("with", "without")]
    for run, asked in zip(runs, ("true", "false"), strict=True):
        places = (f"runs_dir={run.path.parent}", "run_id=run")
        done = train_cli(*RANKS, f"hardware.check_memory={asked}", *places)
        assert done.returncode == 0, done.stderr + done.stdout
    assert runs[0].trace.read_bytes() == runs[1].trace.read_bytes() != b""
    one, other = (torch.load(run.weights) for run in runs)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_one_rank_of_little_memory_ends_the_run_in_one_line(
    train_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    small = ["+callbacks.small._target_=support.small_memory.SmallMemory", "+callbacks.small.rank=1"]
    pixels = f"+callbacks.small.pixels={3 * 28**2}"
    done = train_cli(*RANKS, "hardware.check_memory=true", *small, pixels)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    line = "hardware.device_train_microbatch_size=4: training on 4 images of 28 px needs more memory than there is ("
    assert done.stderr.startswith(line) and done.stderr.endswith("; use hardware.device_train_microbatch_size=2\n")
    assert not list((tmp_path / "runs").glob("hot*"))
