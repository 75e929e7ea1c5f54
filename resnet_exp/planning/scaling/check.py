"""How far the model of a step is off: its predictions of published speeds, each made without that speed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from resnet_exp.config import network
from resnet_exp.config.schema import ModelConfig
from resnet_exp.planning.scaling import machines, published_speeds, step
from resnet_exp.planning.scaling.machines import Fleet, Gpu

# The model of all published speeds.
RESNET50 = ModelConfig(name="resnet50", block="bottleneck", layers=[3, 4, 6, 3], num_classes=1000)
# GPUs of the node that others are compared with.
ANCHOR = 8


@dataclass(frozen=True)
class Published:
    """One published speed.

    Attributes:
        images: of a step of each GPU.
        loader_threads: that loaded the images, None if it is not known.
        source: software and kind of GPU: what is alike in all but the number of GPUs.
    """

    said: str
    source: tuple[str, str]
    fleet: Fleet
    images: int
    side: int
    blurred: bool
    images_per_second: float
    loader_threads: int | None
    waits_for_loader: bool

    @property
    def layers(self) -> list[network.Layer]:
        """Of the network that was trained."""
        return network.layers(RESNET50, self.side, self.blurred)

    @property
    def slowdown(self) -> float:
        """How much longer its step took than the bound."""
        seconds = self.images * self.fleet.gpus / self.images_per_second
        return seconds / step.bound_seconds(self.layers, self.fleet.gpu, self.images)

    def predicted(self, slowdown: float) -> float:
        """Images/s that the model says for it."""
        found = step.step_of(self.layers, self.fleet, self.images, slowdown)
        return self.images * self.fleet.gpus / found.seconds


@dataclass(frozen=True)
class Miss:
    """A published speed, and the model's in images/s."""

    published: Published
    predicted: float

    @property
    def error(self) -> float:
        """As a fraction: positive where the model is too fast."""
        return self.predicted / self.published.images_per_second - 1


@cache
def published() -> tuple[Published, ...]:
    """Every published speed of a GPU whose peaks are known, but those where nobody says how images were loaded."""
    found = []
    for row in published_speeds.rates():
        gpu = machines.find_gpu(row["gpu"])
        if gpu is not None and row["data"] != "imagefolder":
            found.append(_published(row, gpu))
    return tuple(found)


def _published(row: dict[str, str], gpu: Gpu) -> Published:
    gpus, network_speed = int(row["gpus"]), row["network_gbit_per_second"]
    fleet = Fleet(gpu, gpus, int(row["nodes"]))
    if network_speed:
        fleet = Fleet(gpu, gpus, int(row["nodes"]), machines.to_bytes(float(network_speed)))
    return Published(
        said=row["said"],
        source=(row["data"], row["gpu"]),
        fleet=fleet,
        images=int(row["train_batch_size"]) // gpus,
        side=int(row["px"]),
        blurred="blurpool" in row["algorithms"],
        images_per_second=float(row["images_per_second"]),
        loader_threads=int(row["loader_threads"]) if row["loader_threads"] else None,
        waits_for_loader=row["limit"] == "loader",
    )


def loader_rate() -> float:
    """Images/s of a thread of FFCV's own loader, where training waited for it."""
    waited = [each for each in published() if each.waits_for_loader and each.loader_threads]
    return min(each.images_per_second / each.loader_threads for each in waited if each.loader_threads)


def one_node() -> list[Miss]:
    """Published speeds of eight GPUs: kernels slowed down like those of the others, or the loader's limit."""
    rows = [each for each in published() if each.fleet.gpus == ANCHOR and not each.waits_for_loader]
    return [_without(each, rows) for each in rows]


def _without(each: Published, rows: Sequence[Published]) -> Miss:
    fastest_loader = loader_rate() * each.loader_threads if each.loader_threads else float("inf")
    # The smallest images say how fast a loader is, not how fast kernels are.
    others = [row.slowdown for row in rows if row.said != each.said and row.side > min(each.side for each in rows)]
    return Miss(each, min(each.predicted(statistics.median(others)), fastest_loader))


def other_counts() -> list[Miss]:
    """Published speeds of other numbers of GPUs than eight, predicted from those of eight with the same software."""
    found = []
    for anchor in (each for each in published() if each.fleet.gpus == ANCHOR):
        alike = [each for each in published() if each.source == anchor.source and each.fleet.gpus != ANCHOR]
        found += [Miss(each, each.predicted(anchor.slowdown)) for each in alike if each.side == anchor.side]
    return found


@cache
def error_text() -> str:
    """The errors of `other_counts` in a few words."""
    misses = other_counts()
    counts = [miss.published.fleet.gpus for miss in misses]
    errors = [miss.error for miss in misses]
    return (
        f"off by {min(errors):+.0%} to {max(errors):+.0%} where published: {min(counts)} to {max(counts)} GPUs, "
        f"n = {len(misses)}"
    )


def table(misses: Sequence[Miss], say: Callable[[str], None]) -> None:
    """Print published and predicted speeds as Markdown."""
    say("| published | px | images/s | on paper | error |\n| --- | --- | --- | --- | --- |")
    for miss in misses:
        each = miss.published
        speeds = f"{each.images_per_second:,.0f} | {miss.predicted:,.0f}"
        say(f"| {each.said} | {each.side} | {speeds} | {miss.error:+.0%} |")
