"""``speed=fast`` with torch's own compiler, and on two ranks: whole runs, as a user starts them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from composer.algorithms.blurpool import apply_blurpool
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

from resnet_exp.core.files import read_json, read_lines
from resnet_exp.runs.folder import RunFolder
from resnet_exp.training.speed.compilation import compile_network
from support.commands import RunCli
from support.paths import TESTS

pytestmark = pytest.mark.soak

EAGER = "+callbacks.graphs._target_=support.eager_graphs.EagerGraphs"
SHORT = (
    *("data=imagefolder", "dataset=imagefolder", "train_batch_size=4", "ssr=0.0334", "schedule.warmup=1ep"),
    *("trace=true", "algorithms.ema.half_life=8ba", "algorithms.ema.update_interval=2ba", "algorithms.sam.interval=3"),
)


@pytest.fixture
def train(run_cli: RunCli, tiny: list[str], photo_tree: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)  # torch sets it in this process
    tree = photo_tree()

    def run(runs: str, *words: str) -> RunFolder:
        place = [f"dataset.dir={tree}", f"runs_dir={tmp_path / runs}"]
        done = run_cli("recipe=hot", *tiny, *SHORT, *place, *words, timeout=900)
        assert done.returncode == 0, done.stderr + done.stdout
        (folder,) = (tmp_path / runs).glob("hot-*" if "run_id=same" not in words else "same")
        return RunFolder(folder)

    return run


def compiled_files(tmp_path: Path) -> set[Path]:
    return {path for path in (tmp_path / "cache" / "inductor").rglob("*") if path.suffix in (".cpp", ".so")}


def test_a_second_run_compiles_nothing(train: Any, tmp_path: Path) -> None:
    first = train("one", "speed=fast")
    compiled = compiled_files(tmp_path)
    assert len(compiled) > 10
    train("two", "speed=fast", "seed=18")
    assert compiled_files(tmp_path) == compiled
    faithful = train("three")
    names = [list(torch.load(run.weights)) for run in (first, faithful)]
    assert names[0] == names[1]
    losses = [[row["loss"] for row in read_lines(run.trace)] for run in (first, faithful)]
    # Rounding, and masks of stochastic depth, whose random numbers are the compiler's own.
    assert losses[0][0] == pytest.approx(losses[1][0], rel=0.2)
    assert len(losses[0]) == len(losses[1])


def gradients(network: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    network(images).square().mean().backward()
    return [weight.grad.double() for weight in network.parameters() if weight.grad is not None]


def error(found: list[torch.Tensor], exact: list[torch.Tensor]) -> float:
    """The largest relative error of any weight's gradient."""
    return max(float((one - other).norm() / other.norm()) for one, other in zip(found, exact, strict=True))


def test_compiled_gradients_are_as_exact_as_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.manual_seed(0)
    plain = ResNet(Bottleneck, [1, 1, 1, 1], num_classes=10)
    apply_blurpool(plain)
    images = torch.randn(16, 3, 32, 32)
    compiled, exact = copy.deepcopy(plain), copy.deepcopy(plain).double()
    compile_network(compiled)
    wanted = gradients(exact, images.double())
    assert error(gradients(compiled, images), wanted) < 5 * error(gradients(plain, images), wanted)
    for one, other in zip(compiled.buffers(), exact.buffers(), strict=True):
        assert torch.allclose(one.double(), other.double(), rtol=1e-3, atol=1e-5)


def test_two_ranks_train_as_they_do_uncompiled(train: Any) -> None:
    words = ("hardware.devices=2", "train_batch_size=8")
    assert_same(train("faithful", *words), train("fast", *words, "speed=fast", EAGER))


INTERRUPTER = "+callbacks.interrupter._target_=support.interrupter.Interrupter"


def assert_same(one: RunFolder, other: RunFolder) -> None:
    assert list(read_lines(one.trace)) == list(read_lines(other.trace))
    weights = [torch.load(run.weights) for run in (one, other)]
    assert weights[0].keys() == weights[1].keys()
    assert [name for name, value in weights[0].items() if not torch.equal(value, weights[1][name])] == []


@pytest.fixture
def interrupt(run_cli: RunCli, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Begin the run `same` in the folder `cut`, or go on with it, and end it as `Interrupter` says."""

    def run(when: str, code: int, *words: str) -> None:
        monkeypatch.setenv("INTERRUPT", when)
        place = [f"dataset.dir={tmp_path / 'photos'}", f"runs_dir={tmp_path / 'cut'}", INTERRUPTER, "run_id=same"]
        done = run_cli("recipe=hot", *tiny, *SHORT, *place, *words, timeout=900)
        assert done.returncode == code, done.stderr + done.stdout
        monkeypatch.delenv("INTERRUPT")

    return run


@pytest.mark.parametrize("order", [("faithful", "fast"), ("fast", "faithful")])
def test_a_checkpoint_serves_both(order: tuple[str, str], train: Any, interrupt: Any) -> None:
    whole = train("whole", "run_id=same")
    interrupt("11:SIGINT:launcher", 130, EAGER, f"speed={order[0]}")
    resumed = train("cut", EAGER, INTERRUPTER, "run_id=same", f"speed={order[1]}")
    result = read_json(resumed.result)
    assert result is not None and result["resumed"] == 1
    assert_same(whole, resumed)


def test_compiled_runs_go_on_to_the_same_end(train: Any, interrupt: Any) -> None:
    whole = train("whole", "speed=fast", "run_id=same")
    interrupt("6:SIGINT:launcher", 130, "speed=fast")
    interrupt("13:SIGKILL:rank", 1, "speed=fast")
    resumed = train("cut", INTERRUPTER, "speed=fast", "run_id=same")
    result = read_json(resumed.result)
    assert result is not None and result["resumed"] == 2
    assert_same(whole, resumed)
