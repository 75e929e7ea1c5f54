"""``plan budget=10min`` and ``budget=10usd``: the best known top-1 for it, from your own and published runs."""

from __future__ import annotations

from collections.abc import Sequence

from resnet_exp.config.schema import RunConfig
from resnet_exp.core.budget import Budget, amount_text
from resnet_exp.core.terminal.text import plural, text_table
from resnet_exp.planning import known_ways
from resnet_exp.planning.known_ways import Answer, Known, Way, known_runs, way_rows
from resnet_exp.planning.lines import Line
from resnet_exp.results import frontier
from resnet_exp.results.frontier import Group

BUDGET = "budget"
HEAD = ("hardware", "top-1", "time", "cost", "run", "whose")


def ways_within(budget: Budget, config: RunConfig) -> Answer:
    """The best known top-1 for a budget, and the best on each hardware, for each data set and evaluation protocol.

    Args:
        budget: the most that training may take.
        config: of a run on the data set and hardware to look at; see `known_runs`.
    """
    known = known_runs(config)
    ways: list[Way] = []
    lines: list[Line] = []
    for (dataset, protocol), groups in known.groups.items():
        if (best := _best(budget, groups)) is None:
            continue
        each = _on_each_hardware(budget, groups)
        ways += [best, *(way for way in each if way.group is not best.group)]
        lines += [f"up to {budget} on {dataset}, evaluated at {protocol}", *_rows(best, budget, groups), *_table(each)]
    return Answer(ways=tuple(ways), lines=(*(lines or [_nothing_fits(budget, known)]), *known.notes()))


def _best(budget: Budget, groups: Sequence[Group]) -> Way | None:
    points = [frontier.point_of(group, budget.axis) for group in groups]
    best = frontier.best_within(points, budget.amount)
    if best is None:
        return None
    line = [frontier.point_of(group, budget.axis) for group in frontier.all_lengths_of(groups, groups[best].runs[0])]
    top1 = frontier.top1_at(line, budget.amount)
    return Way("best", budget.axis, groups[best], None if top1 == points[best].top1 else top1)


def _on_each_hardware(budget: Budget, groups: Sequence[Group]) -> list[Way]:
    """The best of each hardware that has one, the best first."""
    names = dict.fromkeys(group.runs[0].hardware for group in groups)
    found = [_best(budget, [group for group in groups if group.runs[0].hardware == name]) for name in names]
    return sorted((way for way in found if way is not None), key=lambda way: -way.group.top1.mean)


def _rows(best: Way, budget: Budget, groups: Sequence[Group]) -> list[Line]:
    rows = way_rows(best.name, best.group, plural(best.group.n, "run"))
    if best.between is not None:
        rows.append(("between", f"{best.between:.2%} for just {budget}, interpolated between two of its lengths"))
    return rows


def _table(ways: Sequence[Way]) -> list[Line]:
    """The best on each hardware, if there is more than one."""
    if len(ways) < 2:
        return []
    rows: list[tuple[str, ...]] = [HEAD]
    for way in ways:
        run = way.group.runs[0]
        cost, time = known_ways.cost_and_time(way.group)
        own = "published" if run.published else "yours"
        rows.append((run.hardware, known_ways.top1_text(way.group), time, cost, known_ways.name_of(run), own))
    return [f"  {line}" for line in text_table(rows)]


def _nothing_fits(budget: Budget, known: Known) -> str:
    points = [frontier.point_of(group, budget.axis) for group in known.all_groups()]
    least = min((point.cost for point in points if point.counts), default=None)
    what, takes = ("cost", "cheapest one costs") if budget.axis == "cost_usd" else ("time", "fastest one takes")
    said = f"no run with a known {what}" if least is None else f"the {takes} {amount_text(budget.axis, least)}"
    return f"nothing known fits {budget}{known.where}: {said}"
