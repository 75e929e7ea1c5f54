"""``speed.compile``: one graph for each size, made before the first batch, that computes what Composer's layers do."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from composer.algorithms.blurpool import apply_blurpool
from composer.algorithms.stochastic_depth import apply_stochastic_depth
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

from resnet_exp.config import schedule
from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import read_lines
from resnet_exp.training.rank import graphs as rank_graphs
from resnet_exp.training.speed import compilation
from resnet_exp.training.speed.layers import make_compilable
from support.commands import RunCli
from support.configs import make_config
from support.eager_graphs import Graphs
from support.in_process import build_training

SMALL = (
    *("model=resnet14", "data=synthetic", "data.loader.train_images=8", "data.loader.val_images=6"),
    *("data.loader.distinct_images=4", "train_batch_size=4", "eval_batch_size=4", "resolution.train=32"),
    *("resolution.eval_crop=32", "resolution.eval_resize=40", "loggers=[]", "hardware=cpu", "trace=true"),
)
HOT = (
    *("recipe=hot", "~algorithms.randaugment", "ssr=0.05", "schedule.warmup=1ep"),
    *("algorithms.sam.interval=3", "algorithms.ema.update_interval=2ba", "algorithms.ema.half_life=4ba"),
)


@pytest.fixture(autouse=True)
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Graphs]:
    """What would be compiled."""
    found = Graphs()
    monkeypatch.setattr(compilation, "BACKEND", found)
    limit = torch._dynamo.config.recompile_limit
    torch._dynamo.reset()
    yield found
    torch._dynamo.reset()
    torch._dynamo.config.recompile_limit = limit


def network(blur_first: bool = True, method: str | None = "sample") -> ResNet:
    torch.manual_seed(0)
    made = ResNet(Bottleneck, [1, 1, 1, 1], num_classes=10)
    apply_blurpool(made, blur_first=blur_first)
    if method:
        apply_stochastic_depth(made, "ResNetBottleneck", stochastic_method=method, drop_rate=0.1)
    return made


def test_one_graph_where_composers_layers_make_many(graphs: Graphs) -> None:
    images = torch.randn(2, 3, 32, 32)
    ours, composers = network(), network()
    make_compilable(ours)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it reads gradients that are not there
        torch.compile(composers, backend=graphs)(images)
    assert len(graphs.images) > 10
    graphs.images.clear()
    torch._dynamo.reset()
    torch.compile(ours, backend=graphs, fullgraph=True)(images)
    assert graphs.images == [(2, 3, 32, 32)]


def passed(made: nn.Module, images: Tensor) -> list[Tensor]:
    """Logits of training and of evaluation, and gradients."""
    torch.manual_seed(1)
    logits = made.train()(images)
    logits.square().mean().backward()
    return [logits, made.eval()(images), *(weight.grad for weight in made.parameters() if weight.grad is not None)]


@pytest.mark.parametrize("blur_first", [True, False])
@pytest.mark.parametrize("side", [32, 37])
def test_layers_compute_what_composers_do(blur_first: bool, side: int) -> None:
    ours, composers, images = network(blur_first), network(blur_first), torch.randn(2, 3, side, side)
    make_compilable(ours)
    assert ours.state_dict().keys() == composers.state_dict().keys()
    for one, other in zip(passed(ours, images), passed(composers, images), strict=True):
        assert torch.equal(one, other)


def trained(folder: Path, *words: str, cuda_graphs_up_to: int = 0) -> Any:
    """A run to its end, in this process; `graphs_before` is how many graphs there were before the first batch."""
    folder.mkdir()
    config = make_config(*SMALL, *words, f"runs_dir={folder}")
    config = replace(config, speed=replace(config.speed, cuda_graphs_up_to=cuda_graphs_up_to))
    training = build_training(config)
    training.trainer.fit()
    training.trainer.close()
    return training


def outcome(training: Any) -> dict[str, Any]:
    from resnet_exp.training.algorithms.ema import ema_weights

    weights = ema_weights(training.trainer.state.model, training.algorithms)
    metrics = [{**row, "train_seconds": 0} for row in read_lines(training.run.metrics)]
    return {"weights": weights, "trace": list(read_lines(training.run.trace)), "metrics": metrics}


def assert_same(one: Any, other: Any) -> None:
    one, other = outcome(one), outcome(other)
    assert one["trace"] == other["trace"] and one["metrics"] == other["metrics"]
    assert one["weights"].keys() == other["weights"].keys()
    assert [name for name, value in one["weights"].items() if not torch.equal(value, other["weights"][name])] == []


def test_a_run_makes_its_graphs_first_and_is_otherwise_the_same(
    tmp_path: Path, graphs: Graphs, monkeypatch: Any
) -> None:
    made: list[int] = []
    make = rank_graphs.make_graphs

    def count(*facts: Any) -> None:
        make(*facts)
        made.append(len(graphs.images))

    monkeypatch.setattr(rank_graphs, "make_graphs", count)
    fast = trained(tmp_path / "fast", *HOT, "speed=fast")
    sides = sorted({*schedule.sizes(fast.config)})
    assert len(sides) > 1
    shapes = {(4, 3, side, side) for side in sides} | {(2, 3, 32, 32), (4, 3, 32, 32)}
    assert set(graphs.images) == shapes and len(graphs.images) == len(sides) + 2
    assert made == [len(graphs.images)], "the clock ran while something was compiled"
    assert_same(fast, trained(tmp_path / "faithful", *HOT))


def test_graphs_that_do_not_fit_end_a_run_before_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fitted without them: CUDA graphs keep memory of their own."""

    def compile_for_little_memory(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        def run(*values: Any) -> Any:
            if any(isinstance(value, Tensor) and value.shape == (4, 3, 32, 32) for value in values):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
            return graph.forward(*values)

        return run

    monkeypatch.setattr(compilation, "BACKEND", compile_for_little_memory)
    with pytest.raises(RequestError) as refused:
        trained(tmp_path / "fast", "recipe=mild", "ssr=0.05", "speed=fast")
    said = str(refused.value)
    assert said.startswith("speed=fast: for 4 images of 32 px a compiled network needs more memory than there is (")
    assert said.endswith(" GiB); use a smaller hardware.device_train_microbatch_size, or speed=faithful")


def test_images_of_the_scheduled_size(tmp_path: Path, graphs: Graphs) -> None:
    words = ("recipe=mild", "ssr=0.05", "data.decode=scheduled")
    fast = trained(tmp_path / "fast", *words, "speed=fast", "speed.async_checkpoints=false")
    assert len(graphs.images) == len({*schedule.sizes(fast.config)}) + 2
    assert_same(fast, trained(tmp_path / "faithful", *words))


def test_microbatches_and_more_sizes_than_torch_allows(tmp_path: Path, graphs: Graphs) -> None:
    words = ("recipe=mild", "ssr=0.15", "resolution.train=48", "hardware.device_train_microbatch_size=2")
    words += ("algorithms.progressive_resizing.delay_fraction=0", "algorithms.progressive_resizing.size_increment=2")
    fast = trained(tmp_path / "fast", *words, "speed=fast")
    sides = {*schedule.sizes(fast.config)}
    assert len(sides) > 8, "as many as torch allows"
    assert len(graphs.images) == len(sides) + 2


def test_cuda_graphs_for_small_sizes_of_training(tmp_path: Path, graphs: Graphs) -> None:
    trained(tmp_path / "fast", "recipe=mild", "ssr=0.05", "speed=fast", cuda_graphs_up_to=24)
    small = {shape[-1] for shape, cuda in zip(graphs.images, graphs.cuda, strict=True) if cuda}
    assert small == {shape[-1] for shape in graphs.images if shape[-1] <= 24} != set()


def test_no_compiler_is_one_line(run_cli: RunCli, tmp_path: Path, tiny: list[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("CXX", "/bin/false")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)  # torch sets it in this process
    done = run_cli(*tiny, "recipe=baseline", "data=synthetic", "data.loader.train_images=8", "speed=fast")
    assert done.returncode == 2, done.stderr + done.stdout
    assert done.stderr.count("\n") == 1 and "speed.compile=true: torch cannot compile here (" in done.stderr
    assert "/bin/false" in done.stderr and "use speed=faithful" in done.stderr
    assert not (tmp_path / "runs").exists()
    assert (tmp_path / "cache" / "inductor").is_dir(), "compiled code is kept with the other caches"
