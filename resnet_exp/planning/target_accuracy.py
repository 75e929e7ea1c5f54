"""``plan target_top1=0.766``: the cheapest and the fastest known way to a top-1, from your own and published runs."""

from __future__ import annotations

from collections.abc import Sequence

from resnet_exp.config.schema import RunConfig
from resnet_exp.core.budget import amount_text
from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import fraction, plural
from resnet_exp.planning.known_ways import Answer, Known, Way, known_runs, way_rows
from resnet_exp.planning.lines import Line
from resnet_exp.results import frontier
from resnet_exp.results.frontier import Axis, Group

TARGET = "target_top1"
AXES: tuple[tuple[str, Axis], ...] = (("cheapest", "cost_usd"), ("fastest", "train_seconds"))


def parse_target(text: str) -> float:
    """A target such as ``0.766``; raises `RequestError` if it is not a fraction."""
    target = fraction(text)
    if target is None:
        raise RequestError(f"{TARGET}={text} is not a fraction between 0 and 1; 76.6 % is {TARGET}=0.766")
    return target


def ways_to(target: float, config: RunConfig) -> Answer:
    """The cheapest and the fastest known way to a top-1, for each data set and evaluation protocol that has one.

    Args:
        target: top-1 as a fraction.
        config: of a run on the data set and hardware to look at; see `known_runs`.
    """
    known = known_runs(config)
    ways: list[Way] = []
    lines: list[Line] = []
    for (dataset, protocol), groups in known.groups.items():
        if found := _ways(target, groups):
            ways += found
            lines += [f"{target:.2%} top-1 on {dataset}, evaluated at {protocol}", *_rows(found, target)]
    return Answer(ways=tuple(ways), lines=(*(lines or [_not_reached(target, known)]), *known.notes()))


def _ways(target: float, groups: Sequence[Group]) -> list[Way]:
    found = []
    for name, axis in AXES:
        points = [frontier.point_of(group, axis) for group in groups]
        best = frontier.cheapest_reaching(points, target)
        if best is not None:
            line = [frontier.point_of(group, axis) for group in frontier.all_lengths_of(groups, groups[best].runs[0])]
            cost = frontier.cost_at(line, target)
            found.append(Way(name, axis, groups[best], None if cost == points[best].cost else cost))
    return found


def _rows(ways: Sequence[Way], target: float) -> list[Line]:
    rows: list[Line] = []
    shown: list[Group] = []
    for way in ways:
        if any(way.group is group for group in shown):
            rows.append((way.name, "the same"))
        else:
            reached = frontier.seeds_reaching(way.group, target)
            seeds = plural(way.group.n, "run") + ("" if reached == way.group.n else f" of which {reached} reached it")
            rows += way_rows(way.name, way.group, seeds)
        shown.append(way.group)
        if way.between is not None:
            text = amount_text(way.axis, way.between)
            rows.append(("between", f"{text}, interpolated between two of its lengths"))
    return rows


def _not_reached(target: float, known: Known) -> str:
    best = max((run.top1 for group in known.all_groups() for run in group.runs), default=None)
    said = "no run is known" if best is None else f"the best known is {best:.2%}"
    return f"nothing known reaches {target:.2%}{known.where}: {said}"
