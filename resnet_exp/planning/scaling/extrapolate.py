"""The time of a run on other numbers of GPUs and nodes than were measured, on paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from resnet_exp.config import network, schedule
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.terminal.text import plural
from resnet_exp.planning.scaling import check, machines, measured, published_speeds, step
from resnet_exp.planning.scaling.machines import Fleet, Gpu
from resnet_exp.planning.scaling.measured import Card, Trained
from resnet_exp.planning.scaling.published_speeds import Host

# How much longer real kernels take than their bound, by the side of the images; None where it is not known.
Slowdown = Callable[[int], float | None]


@dataclass(frozen=True)
class Base:
    """What an estimate is made from.

    Attributes:
        said: as text.
        node_limit: images/s that one node loads at most.
        cold_seconds: how much longer the first epoch takes from a cold disk.
    """

    said: str
    gpu: Gpu
    slowdown: Slowdown
    node_limit: float
    cold_seconds: float = 0.0


@dataclass(frozen=True)
class PaperTime:
    """Training time in seconds, from `low` to `high`: of a known network between nodes both are the same."""

    low: float
    high: float
    said: str


def basis_text(config: RunConfig, times: Sequence[PaperTime]) -> str:
    """What times of a run are made from, and how far such estimates are off."""
    hardware = config.hardware
    slow, fast = machines.network_range(hardware.name)
    unknown = f"; the network of hardware={hardware.name} is not known" if hardware.nodes > 1 and slow != fast else ""
    return f"on paper, from {' and '.join(time.said for time in times)}{unknown}; {check.error_text()}"


def measured_times(config: RunConfig, images_per_epoch: int, epochs: float) -> list[PaperTime]:
    """Times of a run from what was measured on a GPU of this kind; empty if nothing was."""
    bases = (_of_card(config, card) for card in measured.read_cards())
    return _times(config, (base for base in bases if base), images_per_epoch, epochs)


def published_times(config: RunConfig, images_per_epoch: int, epochs: float) -> list[PaperTime]:
    """Times of a run from published speeds of other numbers of such GPUs; empty if there are none."""
    bases = (_of_host(config, host) for host in published_speeds.same_family_hosts(config))
    return _times(config, (base for base in bases if base), images_per_epoch, epochs)


def _of_card(config: RunConfig, card: Card) -> Base | None:
    gpu = machines.find_gpu(card.gpu)
    what = Trained(config.model.name, _algorithms(config), config.hardware.precision, config.speed.name)
    speeds = card.speeds.get(what)
    if gpu is None or speeds is None or machines.family(card.gpu) != machines.family(config.hardware.gpu or ""):
        return None

    def slowdown(side: int) -> float | None:
        seconds = published_speeds.seconds_per_image(speeds, side)
        return None if seconds is None else card.batch * seconds / _bound(config, gpu, side, card.batch)

    threads = config.hardware.cpus
    limit = card.loader_rate * threads if card.loader_rate and threads else math.inf
    said = f"measured on one {card.gpu}, {card.date}, torch {card.torch}, {what.speed}"
    return Base(said + ("" if limit < math.inf else "; loading is not counted"), gpu, slowdown, limit)


def _of_host(config: RunConfig, host: Host) -> Base | None:
    gpu = machines.find_gpu(host.gpu)
    if gpu is None:
        return None
    largest = max(host.speeds)
    images = host.batch // host.gpus
    # The largest images say how fast its kernels are, all of them how fast it loads.
    kernels = host.batch / host.speeds[largest] / _bound(config, gpu, largest, images)

    def slowdown(side: int) -> float | None:
        return kernels if min(host.speeds) <= side <= largest else None

    threads = config.hardware.cpus
    limits = [max(host.speeds.values()), *([check.loader_rate() * threads] if threads else [])]
    said = f"{plural(host.gpus, 'GPU')} of {host.citation}"
    return Base(said, gpu, slowdown, min(limits), host.cold_seconds)


def _bound(config: RunConfig, gpu: Gpu, side: int, images: int) -> float:
    return step.bound_seconds(network.layers(config.model, side, "blurpool" in config.algorithms), gpu, images)


def _algorithms(config: RunConfig) -> str:
    free = (*published_speeds.FREE_ALGORITHMS, *published_speeds.RECKONED_ALGORITHMS)
    return " ".join(sorted(name for name in config.algorithms if name not in free))


def _times(config: RunConfig, bases: Iterable[Base], images_per_epoch: int, epochs: float) -> list[PaperTime]:
    hardware = config.hardware
    if config.model.sync_batchnorm or config.train_batch_size < hardware.world_size:
        return []
    slow, fast = machines.network_range(hardware.name)
    found = []
    for base in bases:
        low, high = (_seconds(config, base, speed, images_per_epoch, epochs) for speed in (fast, slow))
        if low is not None and high is not None:
            found.append(PaperTime(low, high, base.said))
    return found


def _seconds(config: RunConfig, base: Base, network_speed: float, images_per_epoch: int, epochs: float) -> float | None:
    sides = schedule.sizes(config)
    fleet = Fleet(base.gpu, config.hardware.world_size, config.hardware.nodes, network_speed)
    paces = {side: _pace(config, base, fleet, side) for side in set(sides)}
    if None in paces.values():
        return None
    images = images_per_epoch * epochs / len(sides)
    warm = sum(paces[side] or 0.0 for side in sides) * images * published_speeds.sam_factor(config.algorithms)
    return warm + base.cold_seconds / fleet.nodes


def _pace(config: RunConfig, base: Base, fleet: Fleet, side: int) -> float | None:
    """Seconds an image of the whole fleet."""
    slowdown = base.slowdown(side)
    if slowdown is None:
        return None
    layers = network.layers(config.model, side, "blurpool" in config.algorithms)
    found = step.step_of(layers, fleet, config.train_batch_size // fleet.gpus, slowdown)
    return max(found.seconds / config.train_batch_size, 1 / (base.node_limit * fleet.nodes))
