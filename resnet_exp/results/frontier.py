"""The trade-off of top-1 against cost: means over seeds, Pareto fronts, savings at the same quality.

Pure functions of the standard library. Top-1 is a fraction. A cost is in seconds or dollars, whatever the axis is; the
functions only assume that more is worse. A point counts if both of its numbers are finite and its cost is above 0,
since neither a ratio nor a logarithmic axis can use a cost of 0. All other points are ignored.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from resnet_exp.results.record import RunRecord

Axis = Literal["train_seconds", "cost_usd"]
# If a statistic is undefined for more than this share of the resamples, so is its interval.
MAX_UNDEFINED = 0.05


@dataclass(frozen=True)
class Point:
    """Quality (top-1, a fraction) and cost (seconds or dollars); NaN where unknown."""

    top1: float
    cost: float

    @property
    def counts(self) -> bool:
        """Whether the point can be on a front."""
        return math.isfinite(self.top1) and math.isfinite(self.cost) and self.cost > 0


@dataclass(frozen=True)
class Spread:
    """Mean of `n` values and its standard error, in their unit; `sem` is None for one value."""

    mean: float
    sem: float | None
    n: int


@dataclass(frozen=True)
class Group:
    """Runs that differ only in the seed.

    A spread of times or costs is over the runs that have one (`n` is their number), and None if none has.
    """

    key: str
    runs: tuple[RunRecord, ...]
    n: int
    top1: Spread
    train_seconds: Spread | None
    cost_usd: Spread | None


@dataclass(frozen=True)
class Ratio:
    """How many times as much the baseline costs at the same top-1; `at_least` marks a lower bound."""

    value: float
    at_least: bool

    @property
    def saving(self) -> float:
        """Share of the baseline's cost that is saved; below 0 if the run costs more. Also a bound if `at_least`."""
        return 1 - 1 / self.value


def frontier_key(run: RunRecord) -> tuple[str, str]:
    """Dataset and evaluation protocol: runs that differ in them share no frontier."""
    return run.dataset, run.protocol


def hardware_key(run: RunRecord) -> tuple[str, str | None, int, int, int | None]:
    """Hardware, kind of GPU, GPUs per node, nodes, CPUs if no GPUs: speed-ups compare runs that agree in all."""
    return run.hardware, run.gpu, run.devices, run.nodes, None if run.devices else run.cpus


def all_lengths_of(groups: Sequence[Group], run: RunRecord) -> list[Group]:
    """The groups that differ from a run only in length: interpolation is valid only between these."""
    return [group for group in groups if _line_key(group.runs[0]) == _line_key(run)]


def _line_key(run: RunRecord) -> object:
    return frontier_key(run), hardware_key(run), run.recipe, run.model, run.published, run.clock


def aggregate(runs: Iterable[RunRecord]) -> list[Group]:
    """Group the seeds of each configuration, in the order in which configurations first appear.

    Runs of different `frontier_key` are never grouped, whatever their `group`; a run without a `group` stays alone.
    """
    members: dict[tuple[str, tuple[str, str]], list[RunRecord]] = {}
    for run in runs:
        members.setdefault((run.group or run.run_id, frontier_key(run)), []).append(run)
    return [_group(key, tuple(found)) for (key, _), found in members.items()]


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and standard error (sample standard deviation / sqrt(n)); None for no values."""
    n = len(values)
    if n == 0:
        return None
    # Rounding must not change the mean of equal values: ties between groups must stay ties.
    mean = min(max(math.fsum(values) / n, min(values)), max(values))
    if n == 1:
        return Spread(mean, None, 1)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return Spread(mean, math.sqrt(variance / n), n)


def _group(key: str, runs: tuple[RunRecord, ...]) -> Group:
    top1 = spread([run.top1 for run in runs])
    assert top1 is not None
    seconds, dollars = _known(run.train_seconds for run in runs), _known(run.cost_usd for run in runs)
    return Group(key, runs, len(runs), top1, spread(seconds), spread(dollars))


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def point_of(group: Group, axis: Axis) -> Point:
    """Mean top-1 and mean cost of a group on an axis; NaN if the cost is unknown."""
    cost = group.train_seconds if axis == "train_seconds" else group.cost_usd
    return Point(group.top1.mean, math.nan if cost is None else cost.mean)


def pareto_front(points: Sequence[Point]) -> list[int]:
    """Indices of the points on the Pareto front, by rising cost.

    No other point is better than one of them in one respect and no worse in the other. Top-1 rises along the front
    too. Of equal points, only the first is on it.
    """
    usable = [index for index, point in enumerate(points) if point.counts]
    front: list[int] = []
    for index in sorted(usable, key=lambda index: (points[index].cost, -points[index].top1, index)):
        if not front or points[index].top1 > points[front[-1]].top1:
            front.append(index)
    return front


def fronts(groups: Sequence[Group], axis: Axis) -> dict[tuple[str, str], list[Group]]:
    """For each `frontier_key`, the groups on its front by rising mean cost; empty if no group has a cost."""
    keyed: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        keyed.setdefault(frontier_key(group.runs[0]), []).append(group)
    return {
        key: [found[index] for index in pareto_front([point_of(group, axis) for group in found])]
        for key, found in keyed.items()
    }


def cost_at(front: Sequence[Point], target: float) -> float | None:
    """Cost of a top-1 of `target`, by linear interpolation between neighbors on the front.

    None below its lowest and above its highest top-1. Points of `front` that are not Pareto-optimal are ignored.
    """
    return _between([(front[index].top1, front[index].cost) for index in pareto_front(front)], target)


def _between(points: Sequence[tuple[float, float]], place: float) -> float | None:
    """The second number where the first is `place`, by linear interpolation; None outside. `points` rise in both."""
    after = bisect.bisect_left(points, place, key=lambda point: point[0])
    if after == len(points):
        return None
    high, value = points[after]
    if high == place:
        return value
    if after == 0:
        return None
    low, below = points[after - 1]
    share = (place - low) / (high - low)
    return below + share * (value - below)


def cheapest_reaching(points: Sequence[Point], target: float) -> int | None:
    """Index of the cheapest point whose top-1 is at least `target`, without interpolation; None if there is none.

    Among equally cheap points, the one with the highest top-1, then the first.
    """
    return next((index for index in pareto_front(points) if points[index].top1 >= target), None)


def best_within(points: Sequence[Point], budget: float) -> int | None:
    """Index of the point with the highest top-1 of those that cost at most `budget`; None if there is none.

    Among equally good points, the cheapest, then the first.
    """
    affordable = [index for index in pareto_front(points) if points[index].cost <= budget]
    return affordable[-1] if affordable else None


def top1_at(front: Sequence[Point], budget: float) -> float | None:
    """Top-1 for a cost of just `budget`, by linear interpolation between neighbors on the front: inverse of `cost_at`.

    None below its lowest and above its highest cost. Points of `front` that are not Pareto-optimal are ignored.
    """
    return _between([(front[index].cost, front[index].top1) for index in pareto_front(front)], budget)


def seeds_reaching(group: Group, target: float) -> int:
    """How many runs of a group have a top-1 of at least `target`: their mean may reach it though some do not."""
    return sum(run.top1 >= target for run in group.runs)


def at_same_quality(baseline: Sequence[Point], point: Point) -> Ratio | None:
    """The baseline's cost at the top-1 of a point, as a multiple of the point's cost.

    Above the baseline's highest top-1 this is a lower bound, from the cost of that highest point.

    Returns:
        None if the point's top-1 is below the baseline's lowest, or if the point, or every point of the baseline, does
        not count.
    """
    front = [baseline[index] for index in pareto_front(baseline)]
    if not front or not point.counts:
        return None
    if point.top1 > front[-1].top1:
        return Ratio(front[-1].cost / point.cost, at_least=True)
    cost = cost_at(front, point.top1)
    return None if cost is None else Ratio(cost / point.cost, at_least=False)


def against_baseline(
    groups: Sequence[Group], is_baseline: Callable[[RunRecord], bool], axis: Axis
) -> list[Ratio | None]:
    """For each group its `at_same_quality` against the baseline of its own hardware, dataset, protocol and model.

    Args:
        groups: all groups to compare, including the baseline (normally at 1).
        is_baseline: whether a run belongs to the baseline; called with the first run of each group.
        axis: seconds give a speed-up, dollars a saving.
    """
    baselines: dict[object, list[Point]] = {}
    for group in groups:
        if is_baseline(group.runs[0]):
            baselines.setdefault(_peers(group), []).append(point_of(group, axis))
    # Compute each baseline once, not once per group: thousands may be compared with thousands.
    on_front = {peers: [points[index] for index in pareto_front(points)] for peers, points in baselines.items()}
    return [at_same_quality(on_front.get(_peers(group), []), point_of(group, axis)) for group in groups]


def _peers(group: Group) -> object:
    run = group.runs[0]
    return frontier_key(run), hardware_key(run), run.model


def bootstrap(
    groups: Sequence[Group],
    statistic: Callable[[Sequence[Group]], float | None],
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Bootstrap percentile interval of a statistic of groups: the seeds of each group are resampled with replacement.

    With few seeds it is too narrow. The same arguments give the same interval.

    Args:
        groups: arguments of the statistic.
        statistic: maps groups to a number; None or not finite where it is undefined.
        resamples: number of resamples.
        level: share of the resamples that the interval covers.
        seed: of the resampling.

    Returns:
        Its two ends; None if no group has two seeds, or if the statistic is undefined for more than 5 % of the draws.
    """
    if all(group.n < 2 for group in groups):
        return None
    draw = random.Random(seed)
    values: list[float] = []
    for _ in range(resamples):
        value = statistic([_resample(group, draw) for group in groups])
        if value is not None and math.isfinite(value):
            values.append(value)
    if not values or len(values) < (1 - MAX_UNDEFINED) * resamples:
        return None
    values.sort()
    return _quantile(values, (1 - level) / 2), _quantile(values, (1 + level) / 2)


def _resample(group: Group, draw: random.Random) -> Group:
    return group if group.n < 2 else _group(group.key, tuple(draw.choices(group.runs, k=group.n)))


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
