"""Published peaks of GPUs, and published speeds of the networks between nodes."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from resnet_exp.results import published_runs

PUBLISHED = Path(published_runs.__file__).parent / "published"
# Between nodes whose network is not known: from a plain 100 Gb/s card to eight of 400 Gb/s.
UNKNOWN_NETWORKS = (100.0, 3200.0)
BITS = 8


@dataclass(frozen=True)
class Gpu:
    """Peaks of a GPU, as its datasheet states them.

    Attributes:
        bytes_per_second: of its memory.
        half_flops: dense operations a second of half precision on tensor cores.
        link_bytes_per_second: to other GPUs of its node, in one direction.
    """

    name: str
    bytes_per_second: float
    half_flops: float
    link_bytes_per_second: float


@dataclass(frozen=True)
class Fleet:
    """GPUs that train together.

    Attributes:
        gpus: in all.
        nodes: they are spread evenly over.
        network_bytes_per_second: of a node to others, in one direction; infinite for a single node.
    """

    gpu: Gpu
    gpus: int
    nodes: int = 1
    network_bytes_per_second: float = math.inf


def find_gpu(name: str) -> Gpu | None:
    """A GPU by a preset's name (``A100 40GB``) or by NVML's (``NVIDIA A100-SXM4-40GB``); None if it is not known.

    A name without a memory size means the smallest GPU of its family.
    """
    memory = re.search(r"(\d+) ?GB", name)
    alike = [gpu for gpu in gpus() if family(gpu.name) == family(name)]
    same = [gpu for gpu in alike if memory and gpu.name.endswith(f" {memory[1]}GB")]
    return next(iter([*same, *alike]), None)


def family(gpu: str) -> str:
    """The kind of a GPU: A100 for ``A100 40GB``, and for ``NVIDIA A100-SXM4-40GB``, as NVML names it."""
    return re.split("[ -]", gpu.removeprefix("NVIDIA ").removeprefix("Tesla "))[0]


def network_range(hardware: str) -> tuple[float, float]:
    """Bytes/s of a node of a hardware preset to others: from, to; the same twice where it is published."""
    known = _networks().get(hardware)
    low, high = UNKNOWN_NETWORKS if known is None else (known, known)
    return to_bytes(low), to_bytes(high)


def to_bytes(gbit_per_second: float) -> float:
    """Bytes/s of a network of so many Gb/s."""
    return gbit_per_second * 1e9 / BITS


@cache
def gpus() -> tuple[Gpu, ...]:
    """Every GPU whose peaks are known."""
    with (PUBLISHED / "gpus.csv").open(newline="") as file:
        return tuple(
            Gpu(
                row["gpu"],
                float(row["bytes_per_second"]),
                float(row["half_flops"]),
                float(row["link_bytes_per_second"]),
            )
            for row in csv.DictReader(file)
        )


@cache
def _networks() -> dict[str, float]:
    with (PUBLISHED / "networks.csv").open(newline="") as file:
        return {row["hardware"]: float(row["node_gbit_per_second"]) for row in csv.DictReader(file)}
