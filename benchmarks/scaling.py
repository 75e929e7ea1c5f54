"""Training steps of 8, 64 and 512 GPUs on paper, and how far such figures are off.

    python benchmarks/scaling.py                a table, and the published speeds that it was checked against
    python benchmarks/scaling.py -o FILE.json   and its numbers

`resnet_exp.planning.scaling` is the model: the time of the kernels on one GPU, times what real ones took in published
runs; gradients in DDP's buckets, reduced while the backward pass goes on, over links of published speed. The cores that
feed a GPU follow from docs/performance.md, storage from the size of ImageNet's FFCV file. Nothing here was measured on
a GPU.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from resnet_exp.config import network
from resnet_exp.config.disk_usage import IMAGENET_FFCV_GB
from resnet_exp.core.terminal import console
from resnet_exp.planning.scaling import check, machines, step
from resnet_exp.planning.scaling.check import RESNET50
from resnet_exp.results.datasets import KNOWN_IMAGES

PERFORMANCE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
# Its rows of our loader, by the side up to which each one counts.
LOADERS = {88: "ours, ffcv proportion, scheduled 88", 128: "ours, ffcv proportion, scheduled 128"}
LARGEST_LOADER = "ours, ffcv proportion, full 176"
NODE_GPUS, FLEETS, SIDES = 8, (8, 64, 512), (88, 128, 176, 224)
HARDWARE = {"p4d.24xlarge": "A100 40GB", "p5.48xlarge": "H100 80GB"}
# The recipes' batch of all GPUs, and the batch of each GPU that it means on eight.
RECIPE_BATCH = 2048


@dataclass(frozen=True)
class Row:
    """A step of a fleet on paper.

    Attributes:
        batch: of all GPUs together.
        efficiency: images/s of a GPU, of those of a GPU in one node at 256 images each.
        cores: of our loader for each GPU.
        gigabytes: a second that each node reads while no image is in its memory.
    """

    hardware: str
    gpus: int
    batch: int
    side: int
    images_per_second: float
    step_ms: float
    exposed_ms: float
    efficiency: float
    cores: float
    gigabytes: float


def rows() -> Iterator[Row]:
    """Every combination of hardware, number of GPUs, batch and size."""
    slowdown = statistics.median(
        each.slowdown for each in check.published() if each.fleet.gpus == NODE_GPUS and each.side > min(SIDES)
    )
    for hardware in HARDWARE:
        for batch_of in ("run", "gpu"):
            for gpus in FLEETS:
                batch = RECIPE_BATCH if batch_of == "run" else RECIPE_BATCH // NODE_GPUS * gpus
                if batch_of == "run" or gpus > NODE_GPUS:
                    yield from (_row(hardware, gpus, batch, side, slowdown) for side in SIDES)


def _row(hardware: str, gpus: int, batch: int, side: int, slowdown: float) -> Row:
    one_node = _fleet(hardware, NODE_GPUS)
    layers = network.layers(RESNET50, side, blurred=True)
    found = step.step_of(layers, _fleet(hardware, gpus), batch // gpus, slowdown)
    near = step.step_of(layers, one_node, RECIPE_BATCH // NODE_GPUS, slowdown)
    speed = batch / found.seconds
    bytes_per_image = IMAGENET_FFCV_GB * 1e9 / KNOWN_IMAGES["imagenet"]
    return Row(
        hardware=hardware,
        gpus=gpus,
        batch=batch,
        side=side,
        images_per_second=speed,
        step_ms=1e3 * found.seconds,
        exposed_ms=1e3 * found.exposed,
        efficiency=(speed / gpus) / (RECIPE_BATCH / near.seconds / NODE_GPUS),
        cores=speed / gpus / loader_rate(side),
        gigabytes=speed / gpus * NODE_GPUS * bytes_per_image / 1e9,
    )


def _fleet(hardware: str, gpus: int) -> machines.Fleet:
    gpu = machines.find_gpu(HARDWARE[hardware])
    assert gpu is not None
    return machines.Fleet(gpu, gpus, gpus // NODE_GPUS, machines.network_range(hardware)[0])


def loader_rate(side: int) -> float:
    """Images/s of a core of our loader, as docs/performance.md has it."""
    name = LOADERS.get(side, LARGEST_LOADER)
    found = re.search(rf"^\| {name} \|[^|]+\| ([\d,]+) \|", PERFORMANCE.read_text(), re.MULTILINE)
    assert found, f"{PERFORMANCE} has no row {name}"
    return float(found[1].replace(",", ""))


def show(found: list[Row]) -> None:
    """Print the tables in Markdown."""
    columns = "hardware|GPUs|batch|px|images/s|step, ms|waits for gradients, ms|of 8 GPUs|cores a GPU|GB/s a node"
    console.say(f"| {columns.replace('|', ' | ')} |\n" + "| --- " * len(columns.split("|")) + "|")
    for row in found:
        console.say(
            f"| {row.hardware} | {row.gpus} | {row.batch:,} | {row.side} | {row.images_per_second:,.0f} | "
            f"{row.step_ms:.1f} | {row.exposed_ms:.2f} | {row.efficiency:.0%} | {row.cores:.1f} | {row.gigabytes:.1f} |"
        )
    console.say("\nEight GPUs, each row predicted from the others:\n")
    check.table(check.one_node(), console.say)
    console.say("\nOther numbers of GPUs, predicted from eight with the same software:\n")
    check.table(check.other_counts(), console.say)


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="JSON to write")
    options = parser.parse_args()
    found = list(rows())
    show(found)
    if options.output:
        misses = [
            {"said": miss.published.said, "px": miss.published.side, "error": miss.error}
            for miss in (*check.one_node(), *check.other_counts())
        ]
        options.output.write_text(json.dumps({"steps": [asdict(row) for row in found], "errors": misses}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
