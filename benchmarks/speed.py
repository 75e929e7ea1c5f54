"""What ``speed=fast`` gains or loses on this machine, beside the original's arithmetic.

    python benchmarks/speed.py --rounds 15 resnet14:24:64 resnet50:88:8

For each model, side in pixels and images a batch: forward and backward passes of the network with Hot's blur and
stochastic depth, as it is and compiled, in turn; the first call of the compiled one in a new process, with an empty
compile cache and with a full one; and what is kept for the backward pass. Then the time that a checkpoint of ResNet-50
stops training, written at once and in the background. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from composer.algorithms.blurpool import apply_blurpool
from composer.algorithms.stochastic_depth import apply_stochastic_depth
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from resnet_exp.core.terminal import console
from resnet_exp.training.speed.checkpoints import on_host
from resnet_exp.training.speed.compilation import compile_network

LAYERS = {"resnet14": [1, 1, 1, 1], "resnet18": [2, 2, 2, 2], "resnet50": [3, 4, 6, 3]}
WARM = 3


def build(model: str) -> ResNet:
    """A network with Hot's surgery."""
    torch.manual_seed(0)
    made = ResNet(BasicBlock if model == "resnet18" else Bottleneck, LAYERS[model])
    apply_blurpool(made, blur_first=True)
    apply_stochastic_depth(made, "ResNetBottleneck", stochastic_method="sample", drop_rate=0.1)
    return made.to(memory_format=torch.channels_last).train()


def images(side: int, count: int) -> Tensor:
    """A batch in the memory format of the weights."""
    return torch.randn(count, 3, side, side).contiguous(memory_format=torch.channels_last)


def step(network: nn.Module, batch: Tensor) -> float:
    """Seconds of a forward and a backward pass."""
    network.zero_grad()
    begin = time.perf_counter()
    network(batch).square().mean().backward()
    return time.perf_counter() - begin


def kept_bytes(network: nn.Module, batch: Tensor) -> int:
    """Bytes that the forward pass keeps for the backward pass, each storage once."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = network(batch)
    logits.sum().backward()
    weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    return sum(size for place, size in kept.items() if place not in weights)


@dataclass
class Measured:
    """Seconds of the first compiled step, bytes kept by both networks, seconds of pairs of steps."""

    compiling: float
    kept: tuple[int, int]
    pairs: list[tuple[float, float]]


def measure(model: str, side: int, count: int, rounds: int) -> Measured:
    """Both networks in turn, in this process."""
    faithful, fast, batch = build(model), build(model), images(side, count)
    compile_network(fast)
    compiling = step(fast, batch)
    kept = kept_bytes(faithful, batch), kept_bytes(fast, batch)
    pairs = [(step(faithful, batch), step(fast, batch)) for _ in range(WARM + rounds)][WARM:]
    return Measured(compiling, kept, pairs)


def in_new_process(case: str, rounds: int, cache: str) -> Measured:
    """`measure`, with compiled code kept in the folder `cache`."""
    environ = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
    words = [sys.executable, __file__, "--rounds", str(rounds), "--child", case]
    done = subprocess.run(words, env=environ, check=True, capture_output=True, text=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def spread(values: list[float], digits: int) -> str:
    """Median and range."""
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}-{max(values):.{digits}f}]"


def show(case: str, rounds: int) -> None:
    """The row of one case."""
    model, side, count = case.split(":")
    with tempfile.TemporaryDirectory() as cache:
        first, again = (in_new_process(case, number, cache) for number in (rounds, 0))
    ratios, plain = [fast / one for one, fast in first.pairs], [1e3 * one for one, _ in first.pairs]
    cells = [
        *(f"{model}, {side} px, {count} images", spread(plain, 0), spread(ratios, 2)),
        *(f"{first.kept[1] / first.kept[0]:.2f}", f"{first.compiling:.0f}", f"{again.compiling:.0f}"),
    ]
    console.say(f"| {' | '.join(cells)} |")


def show_checkpoints(rounds: int) -> None:
    """Seconds that training stands still for weights, momentum and average of ResNet-50."""
    state = {name: [value, value.clone(), value.clone()] for name, value in build("resnet50").state_dict().items()}
    pairs: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            begin = time.perf_counter()
            torch.save(state, Path(folder) / "state.pt")
            written = time.perf_counter()
            on_host(state)
            pairs.append((written - begin, time.perf_counter() - written))
    ratios = [copied / written for written, copied in pairs]
    console.say(
        f"checkpoint: {spread([1e3 * one for one, _ in pairs], 0)} ms written, copied {spread(ratios, 2)} of it"
    )


def main() -> None:
    """Measure each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", metavar="MODEL:SIDE:IMAGES")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        model, side, count = options.cases[0].split(":")
        console.say(json.dumps(asdict(measure(model, int(side), int(count), options.rounds))))
        return
    console.say("| network | faithful, ms | fast / faithful | kept for backward | compiling, s | from the cache, s |")
    console.say("| --- | --- | --- | --- | --- | --- |")
    for case in options.cases:
        show(case, options.rounds)
    show_checkpoints(options.rounds)


if __name__ == "__main__":
    main()
