"""What the Explorer page should show of runs, stated once more: by `results.frontier` as far as that goes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from resnet_exp.core.budget import Budget
from resnet_exp.results import frontier
from resnet_exp.results.frontier import Axis, Group, Point, Spread
from resnet_exp.results.record import RunRecord
from support.page_cases import PRESETS, View

AXES: dict[str, Axis] = {"time": "train_seconds", "cost": "cost_usd"}


def hourly(run: RunRecord, view: View) -> float | None:
    """Own prices come first; today's are the recorded one where there is no other."""
    preset = PRESETS.get(run.hardware)
    if run.hardware in view.own:
        return view.own[run.hardware]
    if view["prices"] == "recorded" or (view["prices"] == "today" and (not preset or not preset.usd_per_node_hour)):
        return run.usd_per_node_hour
    if preset is None:
        return None
    return preset.spot_usd_per_node_hour if view["prices"] == "spot" else preset.usd_per_node_hour


def main_protocol(runs: Sequence[RunRecord], view: View) -> str:
    """The protocol of most own runs of the dataset, then of most published ones."""
    mine = [run for run in runs if run.dataset == view.dataset]

    def order(protocol: str) -> tuple[int, int, str]:
        same = [run.published for run in mine if run.protocol == protocol]
        return -same.count(False), -same.count(True), protocol

    return min({run.protocol for run in mine}, key=order)


def _use_of(run: RunRecord, algorithm: str) -> str:
    if run.algorithms is None:
        return "unstated"
    return "with" if algorithm in run.algorithms else "without"


def _hiding(run: RunRecord, view: View, protocols: Sequence[str]) -> list[str]:
    """The filters that a run does not pass."""
    passed = {
        "Evaluation": run.protocol in protocols,
        "Recipe": not view.recipe or run.recipe in view.recipe,
        "Published runs": not (run.published and view["published"] == "off"),
        "Model": view["model"] in ("all", run.model),
        "Cloud": view["cloud"] in ("all", run.cloud),
        "Hardware": view["hardware"] in ("all", run.hardware),
        "Algorithms": all(_use_of(run, name) == use for name, use in view.algorithms.items()),
    }
    return [name for name, passes in passed.items() if not passes]


def _group_of(run: RunRecord) -> tuple[str, str]:
    return run.group or run.run_id, run.protocol


def expected_texts(names: Sequence[str], runs: Sequence[RunRecord], view: View) -> list[str]:
    """What each of these filters stands at."""
    uses = {"with": "with", "without": "without", "unstated": "not stated:"}
    texts = {
        "Evaluation": ", ".join(protocols_of(runs, view)), "Recipe": ", ".join(view.recipe), "Published runs": "hidden",
        "Model": view["model"], "Cloud": view["cloud"], "Hardware": view["hardware"],
        "Algorithms": ", ".join(f"{uses[use]} {name}" for name, use in view.algorithms.items()),
        "Seeds": "one only" if view["seeds"] == "single" else "several only",
    }  # fmt: skip
    return [texts[name] for name in names]


def expected_change(
    names: Sequence[str], hidden: Sequence[RunRecord], runs: Sequence[RunRecord], view: View
) -> dict[str, Any]:
    """What lets hidden runs through these filters, and changes no other."""
    changes: dict[str, tuple[str, Any]] = {
        "Evaluation": ("protocol", sorted({*protocols_of(runs, view), *(run.protocol for run in hidden)})),
        "Recipe": ("recipe", []), "Published runs": ("published", "on"), "Model": ("model", "all"),
        "Cloud": ("cloud", "all"), "Hardware": ("hardware", "all"), "Seeds": ("seeds", "all"),
        "Algorithms": ("algorithms", [[name, use] for name, use in view.algorithms.items()
                                      if all(_use_of(run, name) == use for run in hidden)]),
    }  # fmt: skip
    return dict(changes[name] for name in names)


def expected_series(runs: Sequence[RunRecord], view: View, rows: Sequence[Row]) -> dict[str, Any]:
    """Twelve series have names: ours, then those of most own runs; later ones take the last places that are free."""

    def series(run: RunRecord) -> str:
        return "runs" if view["compare"] == "none" else getattr(run, view["compare"]) or "not stated"

    def order(name: str) -> tuple[int, int, int, str]:
        members = [run.published for run in runs if run.dataset == view.dataset and series(run) == name]
        ours = ["baseline", "mild", "medium", "hot"]
        return ours.index(name) if name in ours else len(ours), -members.count(False), -len(members), name

    names = sorted({series(run) for run in runs if run.dataset == view.dataset}, key=order)
    present = {series(row.run) for row in rows}
    waiting = [name for name in names[12:] if name in present]
    named = names[:12]
    for place in reversed(range(len(named))):
        if named[place] not in present and waiting:
            named[place] = waiting.pop(0)
    return {"owners": names[:12], "named": named, "others": len(waiting)}


def expected_baseline(runs: Sequence[RunRecord], view: View) -> str:
    baseline = view["baseline"]
    recipe, _, hardware = baseline.partition("@")
    if any(run.recipe == baseline for run in runs):
        return f"{baseline}, on the same hardware"
    known = any((run.recipe, run.hardware) == (recipe, hardware) for run in runs)
    return f"{recipe} on {hardware}" if known else baseline


def expected_origin(recorded: RunRecord, view: View) -> str | None:
    """Where the price of an hour is from; None without one."""
    if not hourly(recorded, view):
        return None
    preset = PRESETS.get(recorded.hardware)
    if recorded.hardware in view.own:
        return "your price"
    if view["prices"] == "spot":
        return f"spot, {preset.spot_date}" if preset else None
    if view["prices"] == "today" and preset and preset.usd_per_node_hour:
        return preset.date
    return f"recorded, {recorded.price_date or 'undated'}"


def expected_hidden(runs: Sequence[RunRecord], view: View, rows: Sequence[Row]) -> list[tuple[list[str], list[str]]]:
    """Filters and the runs that they hide: those of fewest filters first, then those of most runs."""
    shown = {run.run_id for row in rows for run in row.group.runs}
    mine = [run for run in runs if run.dataset == view.dataset]
    found: dict[tuple[str, ...], list[str]] = {}
    for run in mine:
        if run.run_id in shown:
            continue
        names = _hiding(run, view, protocols_of(runs, view))
        n = sum(_group_of(run) == _group_of(each) for each in mine)
        if not names or (view["seeds"] == "several" and n == 1) or (view["seeds"] == "single" and n > 1):
            names.append("Seeds")
        found.setdefault(tuple(names), []).append(run.run_id)
    ordered = sorted(found.items(), key=lambda item: (len(item[0]), -len(item[1])))
    return [(list(names), hidden) for names, hidden in ordered]


def _shown_groups(runs: Sequence[RunRecord], view: View, protocols: Sequence[str]) -> list[Group]:
    groups = frontier.aggregate(
        run for run in runs if run.dataset == view.dataset and not _hiding(run, view, protocols)
    )
    wanted = {"all": lambda n: True, "several": lambda n: n > 1, "single": lambda n: n == 1}[view["seeds"]]
    groups = [group for group in groups if wanted(group.n)]
    if view["show"] == "means":
        return groups
    # A run without a group stays alone.
    alone = frontier.aggregate(replace(run, group="") for group in groups for run in group.runs)
    by_id = {run.run_id: run for run in runs}
    return [replace(group, runs=tuple(by_id[run.run_id] for run in group.runs)) for group in alone]


def _on_axis(group: Group, view: View) -> Spread | None:
    if view["x"] in AXES:
        return getattr(group, AXES[view["x"]])
    name = {"epochs": "epochs", "energy": "energy_kwh"}[view["x"]]
    return frontier.spread([value for run in group.runs if (value := getattr(run, name)) is not None])


def _on_front(groups: Sequence[Group], view: View) -> set[int]:
    """Published runs have fronts of their own."""
    found: set[int] = set()
    for published in (False, True):
        some = [group for group in groups if group.runs[0].published == published]
        if view["x"] in AXES:
            fronts = frontier.fronts(some, AXES[view["x"]])
            found |= {id(group) for front in fronts.values() for group in front}
            continue
        for key in {frontier.frontier_key(group.runs[0]) for group in some}:
            peers = [group for group in some if frontier.frontier_key(group.runs[0]) == key]
            xs = [_on_axis(group, view) for group in peers]
            points = [Point(group.top1.mean, x.mean if x else math.nan) for group, x in zip(peers, xs, strict=True)]
            found |= {id(peers[index]) for index in frontier.pareto_front(points)}
    return found


def _ratio_to_baseline(group: Group, runs: Sequence[RunRecord], view: View, axis: Axis) -> tuple[float, bool] | None:
    """A recipe compares as in the report, own runs with own ones; "recipe@hardware" and one configuration with more."""
    run, baseline = group.runs[0], view["baseline"]
    if baseline in {each.recipe for each in runs}:
        like = [each for each in runs if each.published == run.published]
        asked = replace(group, runs=(replace(run, recipe="asked"),))
        groups = [*frontier.aggregate(like), asked]
        ratio = frontier.against_baseline(groups, lambda each: each.recipe == baseline, axis)[-1]
    else:
        recipe, _, hardware = baseline.partition("@")
        named = bool(hardware) and any((each.recipe, each.hardware) == (recipe, hardware) for each in runs)
        mine = [
            each for each in runs
            if ((each.recipe, each.hardware, each.published, each.model) == (recipe, hardware, run.published, run.model)
                if named else baseline in (each.run_id, each.group))
            and frontier.frontier_key(each) == frontier.frontier_key(run)
        ]  # fmt: skip
        points = [frontier.point_of(each, axis) for each in frontier.aggregate(mine)]
        ratio = frontier.at_same_quality(points, frontier.point_of(group, axis))
    return None if ratio is None else (ratio.value, ratio.at_least)


@dataclass
class Row:
    """A row of the table; ratios are a value and whether it is a lower bound."""

    group: Group
    x: Spread | None
    on_front: bool
    ratios: list[tuple[float, bool] | None]

    @property
    def run(self) -> RunRecord:
        return self.group.runs[0]


def _mean_of(spread: Spread | None) -> float | None:
    return None if spread is None else spread.mean


def _of_run(name: str) -> Callable[[Row], Any]:
    return lambda row: getattr(row.run, name) or None


# By column: what it is sorted by, and whether the largest comes first.
_COLUMNS: dict[str, tuple[Callable[[Row], Any], bool]] = {
    "accuracy": (lambda row: row.group.top1.mean, True),
    "time": (lambda row: _mean_of(row.group.train_seconds), False),
    "cost": (lambda row: _mean_of(row.group.cost_usd), False),
    "timeSameQuality": (lambda row: row.ratios[0] and row.ratios[0][0], True),
    "costSameQuality": (lambda row: row.ratios[1] and row.ratios[1][0], True),
    "frontier": (lambda row: row.on_front, True),
    "n": (lambda row: row.group.n, True),
    "protocol": (lambda row: row.run.evaluated, False),
    **{name: (_of_run(name), False) for name in ("recipe", "ssr", "epochs", "model", "hardware", "data", "clock")},
}


def _in_order(rows: Sequence[Row], view: View) -> list[Row]:
    """What has no value comes last, in either order; of equal ones the best first."""
    value, down = _COLUMNS[view["sortBy"]]
    by_top1 = sorted(rows, key=lambda row: -row.group.top1.mean)
    known = [row for row in by_top1 if value(row) is not None]
    known.sort(key=value, reverse=down != (view["order"] == "reversed"))
    return [*known, *(row for row in by_top1 if value(row) is None)]


def protocols_of(runs: Sequence[RunRecord], view: View) -> list[str]:
    return view.protocol or [main_protocol(runs, view)]


def expected_rows(runs: Sequence[RunRecord], view: View) -> list[Row]:
    """What the table shows, of runs at the prices of the view."""
    groups = _shown_groups(runs, view, protocols_of(runs, view))
    front = _on_front(groups, view)
    rows = [
        Row(group, _on_axis(group, view), id(group) in front,
            [_ratio_to_baseline(group, runs, view, axis) for axis in AXES.values()])
        for group in groups
    ]  # fmt: skip
    return _in_order(rows, view)


def expected_marks(group: Group, runs: dict[str, RunRecord]) -> list[list[Any]]:
    """Names, and of how many runs; `runs` have the prices that were recorded."""
    found = [runs[run.run_id] for run in group.runs]
    commits, prices = {run.commits for run in found}, {run.usd_per_node_hour for run in found}
    marks = {
        "resumed": sum(run.resumed > 0 for run in found),
        "mixed commits": sum(len(run.commits) > 1 for run in found),
        "uncommitted": sum(run.dirty for run in found),
        "published": sum(run.published for run in found),
        f"seeds of {len(commits)} commits": group.n * (len(commits) > 1),
        f"{len(prices)} prices": group.n * (len(prices) > 1),
    }
    return [[name, count] for name, count in marks.items() if count]


def expected_target(rows: Sequence[Row], view: View) -> float | None:
    """Percent: what the view asks for, else 76.6 on ImageNet, else what the best reaches, whole if that can be."""
    if view["target"]:
        return None if view["target"] == "none" else float(view["target"])
    tops = [100 * row.group.top1.mean for row in rows]
    if not tops:
        return None
    if view.dataset == "imagenet" and min(tops) <= 76.6 <= max(tops):
        return 76.6
    return max(math.floor(max(tops)), math.floor(10 * min(tops)) / 10)


@dataclass
class Answer:
    """The cheapest or the fastest way to a target, None if there is none; `between`: what its lengths say of it."""

    best: Group | None = None
    cost: float | None = None
    between: float | None = None
    line: Sequence[Group] = ()
    reached: int = 0


def expected_answer(rows: Sequence[Row], protocol: str, axis: Axis, target: float) -> Answer:
    groups = [row.group for row in rows if row.run.protocol == protocol]
    points = [frontier.point_of(group, axis) for group in groups]
    index = frontier.cheapest_reaching(points, target)
    if index is None:
        return Answer()
    line = frontier.all_lengths_of(groups, groups[index].runs[0])
    cost = frontier.cost_at([frontier.point_of(group, axis) for group in line], target)
    best = groups[index]
    between = None if cost == points[index].cost else cost
    return Answer(best, points[index].cost, between, line, frontier.seeds_reaching(best, target))


@dataclass
class Bargain:
    """The best that a budget buys, None if there is none; `between`: the top-1 for just the budget by its lengths."""

    best: Group | None = None
    between: float | None = None
    line: Sequence[Group] = ()


def expected_bargain(rows: Sequence[Row], protocol: str, budget: Budget) -> Bargain:
    groups = [row.group for row in rows if row.run.protocol == protocol]
    points = [frontier.point_of(group, budget.axis) for group in groups]
    index = frontier.best_within(points, budget.amount)
    if index is None:
        return Bargain()
    line = frontier.all_lengths_of(groups, groups[index].runs[0])
    top1 = frontier.top1_at([frontier.point_of(group, budget.axis) for group in line], budget.amount)
    return Bargain(groups[index], None if top1 == points[index].top1 else top1, line)


def contenders(groups: Sequence[Sequence[Point]]) -> list[int]:
    """Without the groups of which every drawing is behind every drawing of another group."""

    def behind(points: Sequence[Point], others: Sequence[Point]) -> bool:
        known = [point.cost for point in points if math.isfinite(point.cost)]
        return not known or (
            all(point.counts for point in others)
            and max(point.top1 for point in points) < min(point.top1 for point in others)
            and min(known) > max(point.cost for point in others)
        )

    return [index for index, points in enumerate(groups) if not any(behind(points, others) for others in groups)]
