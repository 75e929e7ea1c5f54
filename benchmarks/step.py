"""Time of a training step: ours against a bare loop of PyTorch, Composer as it is, timm and torchvision.

    python benchmarks/step.py                                a table: ResNet-18 and 50 at 88, 128, 176 and 224 px
    python benchmarks/step.py -o step.json --draw step.svg   and its numbers and picture
    python benchmarks/step.py --timm DIR                     with timm, which this puts into the folder DIR
    python benchmarks/step.py --read step.json --draw step.svg

Each contender of `step_contenders.py` trains in its own process, on random images in memory; each round has one order
for each of them in turn. On a CPU the time is that of all threads of a process, of which one runs the step, and glibc
keeps what is freed for all of them, as for runs of this project; on a GPU it is the wall clock. How its heap happens to
lie makes a process faster or slower by some percent, so `--starts` begins with new processes. The limit is the
roofline: the bytes and operations of every kernel, counted by `resnet_exp.config.network`, at the peaks of the GPU, or
at those that torch reaches here on a CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import step_contenders
import torch
from torch.nn import functional

from resnet_exp.config import network
from resnet_exp.config.schema import ModelConfig
from resnet_exp.core.machine import allocator
from resnet_exp.core.terminal import console
from resnet_exp.planning.scaling import machines, step

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HERE = Path(__file__).resolve().parent
TIMM = "timm==1.0.31"
MODELS = {
    "resnet18": ModelConfig(name="resnet18", block="basic", layers=[2, 2, 2, 2], num_classes=1000),
    "resnet50": ModelConfig(name="resnet50", block="bottleneck", layers=[3, 4, 6, 3], num_classes=1000),
}
SIDES = (88, 128, 176, 224)
# Images of a step.
BATCHES = {"cuda": 256, "cpu": 4}
STEPS = {"cuda": 30, "cpu": 1}
LIMIT = "limit"


@dataclass(frozen=True)
class Measured:
    """Seconds of a step of one contender, round by round; those of the limit are computed."""

    contender: str
    model: str
    px: int
    batch: int
    seconds: list[float]


@dataclass(frozen=True)
class Results:
    """All that was measured, and where."""

    machine: dict[str, str]
    rows: list[Measured]

    def ratios(self, row: Measured) -> list[float]:
        """Round by round, of the bare loop's time."""
        bare = next(
            each for each in self.rows
            if (each.model, each.px, each.contender) == (row.model, row.px, step_contenders.BARE)
        )  # fmt: skip
        own = row.seconds * len(bare.seconds) if row.contender == LIMIT else row.seconds
        return [mine / its for mine, its in zip(own, bare.seconds, strict=True)]


class Process:
    """A contender's process."""

    def __init__(
        self,
        name: str,
        model: str,
        batch: tuple[int, int],
        kind: str,
        timm: Path | None = None,
        recipe: str = "mild",
        largest: int = step_contenders.LARGEST,
        backend: str = "inductor",
    ) -> None:
        """Start it: it needs seconds before it answers. The arguments are those of `step_contenders.Case`."""
        line = [sys.executable, str(HERE / "step_contenders.py"), name, model, *map(str, batch), kind, recipe]
        line += [str(largest), backend]
        path = os.pathsep.join(str(each) for each in (HERE.parent, timm) if each)
        environment = {**os.environ, "PYTHONPATH": path}
        if kind == "cpu":
            environment |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", **allocator.for_training({})}
        # A pipe that nobody reads would stop a process that says much.
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `end`
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True, env=environment
        )

    def order(self, px: int, steps: int, **more: int) -> dict[str, Any]:
        """Train so many steps, and wait for the answer; `more` asks for a ``profile`` or for ``syncs``.

        Raises:
            RuntimeError: the process has ended; the message is the last of what it said.
        """
        self.send(px, steps, **more)
        return self.receive()

    def send(self, px: int, steps: int, **more: int) -> None:
        """Give an order without waiting for its answer; several processes then work at the same time."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # `receive` says why
            self._process.stdin.write(json.dumps({"px": px, "steps": steps, **more}) + "\n")
            self._process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """Wait for the answer to the oldest order; raises as `order`."""
        assert self._process.stdout
        answer = self._process.stdout.readline()
        if not answer:
            self._process.wait()
            self._said.seek(0)
            said = self._said.read().strip().splitlines()
            raise RuntimeError(said[-1] if said else "ended")
        return json.loads(answer)

    def end(self) -> None:
        """Let it leave."""
        self._process.communicate()
        self._said.close()


@dataclass(frozen=True)
class Plan:
    """What is measured of a model: `starts` times new processes, with `rounds` rounds each; timm lies in a folder."""

    names: Sequence[str]
    model: str
    sides: Sequence[int]
    compiled_sides: Sequence[int]
    starts: int
    rounds: int
    kind: str
    batch: int
    timm: Path | None

    def sides_of(self, name: str) -> Sequence[int]:
        """All sides, or those at which what compiles is compiled."""
        return self.compiled_sides if name in step_contenders.COMPILED else self.sides


def measure(plan: Plan) -> list[Measured]:
    """Every contender in turn, once a round, each at every size."""
    found: dict[tuple[str, int], list[float]] = {}
    for start in range(plan.starts):
        for place, seconds in _measure_once(plan, f"{plan.model}: start {start + 1} of {plan.starts}").items():
            found.setdefault(place, []).extend(seconds)
    model, batch = plan.model, plan.batch
    rows = [Measured(name, model, px, batch, seconds) for (name, px), seconds in found.items()]
    limits = [Measured(LIMIT, model, px, batch, [limit(model, px, batch, plan.kind)]) for px in plan.sides]
    return [*rows, *limits] if all(each.seconds[0] for each in limits) else rows


def _measure_once(plan: Plan, said: str) -> dict[tuple[str, int], list[float]]:
    names, steps = [name for name in plan.names if plan.sides_of(name)], STEPS[plan.kind]
    processes = {name: Process(name, plan.model, (plan.batch, plan.batch), plan.kind, plan.timm) for name in names}
    found: dict[tuple[str, int], list[float]] = {}
    for name, process in processes.items():
        for px in plan.sides_of(name):
            process.order(px, steps)  # warms up, or compiles
            console.status(f"{said}, {name} is ready at {px} px")
    for number in range(plan.rounds):
        for px in plan.sides:
            # Each begins in turn, so that none always follows the same one.
            turn = number % len(names)
            for name in (*names[turn:], *names[:turn]):
                if px in plan.sides_of(name):
                    answer = processes[name].order(px, steps)
                    found.setdefault((name, px), []).append(answer["cpu" if plan.kind == "cpu" else "median"])
                    console.status(f"{said}, round {number + 1} of {plan.rounds}, {px} px, {name}")
    for process in processes.values():
        process.end()
    return found


def limit(model: str, px: int, batch: int, kind: str) -> float:
    """Seconds of a step at the roofline; 0 for a GPU whose peaks are not known."""
    layers = network.layers(MODELS[model], px, blurred=True)
    if kind == "cuda":
        gpu = machines.find_gpu(torch.cuda.get_device_name(0))
        return 0.0 if gpu is None else step.bound_seconds(layers, gpu, batch)
    bandwidth, flops = cpu_peaks()
    kernels = [kernel for layer in layers for kernel in (*layer.forward, *layer.backward)]
    moved = [batch * (4 * kernel.elements + kernel.index_bytes) + 4 * kernel.weights for kernel in kernels]
    total = sum(
        max(each / bandwidth, batch * kernel.flops / flops) for each, kernel in zip(moved, kernels, strict=True)
    )
    return total + step.OPTIMIZER_PASSES * step.FULL_BYTES * sum(layer.weights for layer in layers) / bandwidth


_PEAKS: list[tuple[float, float]] = []


def cpu_peaks() -> tuple[float, float]:
    """Bytes/s of a copy and operations/s of arithmetic in one thread of this CPU, the best of some.

    MKL, which multiplies matrices, takes a slow path on AMD; oneDNN, which convolves, does not: 100 and 256 Gflop/s on
    an EPYC.
    """
    if not _PEAKS:
        torch.set_num_threads(1)
        big, other, square = torch.randn(2**25), torch.randn(2**25), torch.randn(1024, 1024)
        images, weights = (torch.randn(size) for size in ((32, 256, 14, 14), (256, 256, 3, 3)))
        images, weights = (each.to(memory_format=torch.channels_last) for each in (images, weights))
        products = 2 * 1024**3 / _best(lambda: square @ square)
        operations = 2 * functional.conv2d(images, weights).numel() * weights[0].numel()
        convolutions = operations / _best(lambda: functional.conv2d(images, weights))
        _PEAKS.append((2 * 4 * 2**25 / _best(lambda: other.copy_(big)), max(products, convolutions)))
    return _PEAKS[0]


def _best(work: object) -> float:
    assert callable(work)
    times = []
    for _ in range(15):
        began = time.thread_time()
        work()
        times.append(time.thread_time() - began)
    return min(times)


def machine(kind: str) -> dict[str, str]:
    """Where this is measured."""
    cpu = next((line.split(": ")[1] for line in _cpu_lines() if line.startswith("model name")), platform.machine())
    found = {"torch": torch.__version__, "date": datetime.date.today().isoformat(), "cpu": cpu.strip()}
    return {**found, "gpu": torch.cuda.get_device_name(0)} if kind == "cuda" else found


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def show(results: Results) -> None:
    """Print a table in Markdown: milliseconds a step, and the ratio to the bare loop."""
    console.say(", ".join(results.machine.values()) + "\n")
    console.say("| model | px | batch | contender | ms a step | of the bare loop | images/s |\n" + "| --- " * 7 + "|")
    for row in sorted(results.rows, key=lambda row: (row.model, row.px)):
        median, milliseconds = statistics.median(row.seconds), [1e3 * each for each in row.seconds]
        console.say(
            f"| {row.model} | {row.px} | {row.batch} | {row.contender} | {spread(milliseconds)} | "
            f"{spread(results.ratios(row), 3)} | {row.batch / median:,.1f} |"
        )


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median and range."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}-{max(values):.{digits}f}]"


def draw(results: Results, path: Path) -> None:
    """Draw the ratios."""
    from matplotlib.figure import Figure

    models = list(dict.fromkeys(row.model for row in results.rows))
    figure = Figure(figsize=(8, 1.5 + 2.6 * len(models)), layout="constrained")
    for axes, model in zip(figure.subplots(len(models), 1, squeeze=False)[:, 0], models, strict=True):
        _draw_model(axes, results, model)
    figure.supxlabel("time of a step / that of the bare loop (median and range)", size="medium")
    figure.savefig(path)


def _draw_model(axes: Axes, results: Results, model: str) -> None:
    rows = [row for row in results.rows if row.model == model and row.contender != LIMIT]
    names = list(dict.fromkeys(row.contender for row in rows))
    sides = sorted({row.px for row in rows})
    for row in rows:
        ratios = results.ratios(row)
        middle = statistics.median(ratios)
        place = names.index(row.contender) + 0.18 * (sides.index(row.px) - (len(sides) - 1) / 2)
        color = "#0072B2" if row.contender.startswith("ours") else "#777777"
        ends = [[middle - min(ratios)], [max(ratios) - middle]]
        axes.errorbar(middle, place, xerr=ends, fmt="o", markersize=4, color=color, ecolor=color, linewidth=1)
        axes.annotate(f"{row.px}", (max(ratios), place), (4, 0), textcoords="offset points", va="center", fontsize=6)
    axes.axvline(1, color="#333333", linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(title=f"{model}, sizes in pixels")
    axes.grid(axis="x", alpha=0.3)


def get_timm(folder: Path) -> Path:
    """Put timm into a folder of its own, if it is not there, without what it would bring along."""
    if not (folder / "timm").exists():
        line = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), TIMM]
        subprocess.run(line, check=True)
    return folder


def read(path: Path) -> Results:
    """What an earlier run wrote."""
    found = json.loads(path.read_text())
    return Results(found["machine"], [Measured(**row) for row in found["rows"]])


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=1, help="how often all processes are started (1)")
    parser.add_argument("--rounds", type=int, default=7, help="orders of each process that are counted (7)")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--px", nargs="+", type=int, default=list(SIDES), metavar="PX")
    parser.add_argument("--batch", type=int, help="images of a step: 256 on a GPU, 4 on a CPU unless given")
    parser.add_argument(
        "--compiled-px", nargs="*", type=int, metavar="PX", help="sizes at which to compile: all of --px"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="contenders, such as 'bare loop'")
    parser.add_argument("--device", choices=BATCHES, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--timm", type=Path, metavar="DIR", help="folder for timm, which is not of this project's")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="JSON to write, or to add to")
    parser.add_argument("--draw", type=Path, metavar="FILE", help="picture to write")
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure nothing: show what an earlier run wrote")
    options = parser.parse_args()
    results = read(options.read) if options.read else _measured(options)
    show(results)
    if options.draw:
        draw(results, options.draw)
    return 0


def _measured(options: argparse.Namespace) -> Results:
    timm = get_timm(options.timm) if options.timm else None
    known = [name for name in step_contenders.CONTENDERS if timm or name != "timm"]
    names, batch = options.only or known, options.batch or BATCHES[options.device]
    compiled, kind = options.compiled_px if options.compiled_px is not None else options.px, options.device
    rows: list[Measured] = []
    for model in options.models:
        plan = Plan(names, model, options.px, compiled, options.starts, options.rounds, kind, batch, timm)
        rows += measure(plan)
    earlier = options.output and options.output.exists()
    results = Results(machine(options.device), [*(read(options.output).rows if earlier else []), *rows])
    if options.output:
        options.output.write_text(json.dumps(asdict(results), indent=1))
    return results


if __name__ == "__main__":
    sys.exit(main())
