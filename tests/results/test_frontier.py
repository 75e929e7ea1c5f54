"""The mathematics of the report against its definitions, by brute force on generated points."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
import statistics
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from resnet_exp.results import frontier
from resnet_exp.results.frontier import Group, Point, Ratio
from resnet_exp.results.record import RunRecord

# Few values, so that ties and duplicates are common; some points that do not count.
TOP1 = st.one_of(st.integers(0, 8).map(lambda eighths: eighths / 8), st.floats(0, 1))
COST = st.one_of(st.integers(1, 6).map(float), st.floats(1e-3, 1e6))
POINT = st.builds(Point, TOP1, COST)
POINTS = st.lists(POINT, max_size=12)
BAD = st.sampled_from([math.nan, math.inf, -math.inf])
USELESS = st.one_of(
    st.builds(Point, BAD, COST), st.builds(Point, TOP1, BAD), st.builds(Point, TOP1, st.sampled_from([0.0, -0.0, -1.0]))
)
RUN = RunRecord(
    run_id="r",
    published=False,
    recipe="mild",
    model="resnet50",
    dataset="imagenet",
    data="ffcv",
    algorithms=(),
    cloud="aws",
    hardware="p4d.24xlarge",
    gpu="A100 40GB",
    devices=8,
    nodes=1,
    cpus=96,
    ssr=0.36,
    seed=17,
    epochs=32,
    top1=0.766,
    top5=None,
    train_seconds=3600.0,
    eval_seconds=None,
    usd_per_node_hour=30.0,
    price_date=None,
    published_cost_usd=None,
    eval_resize=232,
    eval_crop=224,
    tta="",
    clock="training",
    group="g",
    resumed=0,
    commits=(),
    dirty=False,
    images_per_second=None,
    data_wait_seconds=None,
    energy_kwh=None,
    source="",
    path=None,
    sweep=None,
    command=None,
    curve=(),
)


def runs_of(top1: Sequence[float], seconds: Sequence[float | None] | None = None, **changes: object) -> list[RunRecord]:
    """One run a value of top-1, each with another seed."""
    times = [3600.0] * len(top1) if seconds is None else seconds
    base = dataclasses.replace(RUN, **changes)  # type: ignore[arg-type]
    return [
        dataclasses.replace(base, run_id=f"{base.group}-{seed}", seed=seed, top1=value, train_seconds=time)
        for seed, (value, time) in enumerate(zip(top1, times, strict=True))
    ]


def group_of(top1: Sequence[float], seconds: Sequence[float | None] | None = None, **changes: object) -> Group:
    (group,) = frontier.aggregate(runs_of(top1, seconds, **changes))
    return group


def dominates(one: Point, other: Point) -> bool:
    as_good = one.top1 >= other.top1 and one.cost <= other.cost
    return as_good and (one.top1 > other.top1 or one.cost < other.cost)


def front_of(points: Sequence[Point]) -> list[Point]:
    return [points[index] for index in frontier.pareto_front(points)]


# Fronts


@given(POINTS)
def test_the_front_is_what_nothing_dominates(points: list[Point]) -> None:
    expected = [
        index
        for index, point in enumerate(points)
        if not any(dominates(other, point) for other in points) and point not in points[:index]
    ]
    front = frontier.pareto_front(points)
    assert sorted(front) == expected


@given(POINTS)
def test_cost_and_top1_rise_along_the_front(points: list[Point]) -> None:
    front = front_of(points)
    for cheap, dear in itertools.pairwise(front):
        assert cheap.cost < dear.cost and cheap.top1 < dear.top1


@given(POINTS, st.randoms(use_true_random=False))
def test_the_order_of_points_does_not_matter(points: list[Point], shuffle: random.Random) -> None:
    shuffled = list(points)
    shuffle.shuffle(shuffled)
    assert front_of(shuffled) == front_of(points)


@given(POINTS, st.lists(USELESS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_points_without_a_finite_top1_or_a_finite_cost_above_0_are_as_if_absent(
    points: list[Point], useless: list[Point], shuffle: random.Random
) -> None:
    mixed = [*points, *useless]
    shuffle.shuffle(mixed)
    assert front_of(mixed) == front_of(points)
    assert frontier.cost_at(mixed, 0.5) == frontier.cost_at(points, 0.5)
    for point in useless:
        assert frontier.at_same_quality(points, point) is None
    assert frontier.at_same_quality(useless, Point(0.5, 1)) is None


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ([], []),
        ([Point(0.5, 1)], [0]),
        ([Point(math.nan, 1)], []),
        ([Point(0.5, 1), Point(0.5, 1)], [0]),
        ([Point(0.5, 2), Point(0.5, 1)], [1]),
        ([Point(0.5, 1), Point(0.6, 1)], [1]),
        ([Point(0.6, 2), Point(0.5, 1), Point(0.5, 3)], [1, 0]),
    ],
)
def test_small_fronts(points: list[Point], front: list[int]) -> None:
    assert frontier.pareto_front(points) == front


# Costs at a target


@given(st.lists(POINT, min_size=1, max_size=12))
def test_a_front_goes_through_its_points_and_ends_with_them(points: list[Point]) -> None:
    front = front_of(points)
    for point in front:
        assert frontier.cost_at(front, point.top1) == point.cost
    assert frontier.cost_at(front, math.nextafter(front[0].top1, -1)) is None
    assert frontier.cost_at(front, math.nextafter(front[-1].top1, 2)) is None


@given(st.lists(POINT, min_size=2, max_size=12), st.floats(0, 1))
def test_between_two_points_the_front_is_straight(points: list[Point], share: float) -> None:
    front = front_of(points)
    for low, high in itertools.pairwise(front):
        target = low.top1 + share * (high.top1 - low.top1)
        position = (Fraction(target) - Fraction(low.top1)) / (Fraction(high.top1) - Fraction(low.top1))
        assume(0 <= position <= 1)
        exact = Fraction(low.cost) + position * (Fraction(high.cost) - Fraction(low.cost))
        assert frontier.cost_at(front, target) == pytest.approx(float(exact), rel=1e-9)


@given(st.lists(POINT, min_size=1, max_size=12), st.floats(0, 1), st.floats(0, 1))
def test_more_quality_costs_more(points: list[Point], one: float, other: float) -> None:
    low, high = (frontier.cost_at(points, target) for target in sorted((one, other)))
    if low is not None and high is not None:
        assert low <= high * (1 + 1e-12)


@given(st.lists(POINT, min_size=1, max_size=12), st.floats(0, 1), st.floats(0.01, 100))
def test_costs_scale_with_the_price(points: list[Point], target: float, price: float) -> None:
    dearer = [Point(point.top1, point.cost * price) for point in points]
    before, after = frontier.cost_at(points, target), frontier.cost_at(dearer, target)
    assert (before is None) == (after is None)
    if before is not None:
        assert after == pytest.approx(before * price, rel=1e-9)


@given(POINTS, st.floats(0, 1))
def test_the_cheapest_that_reaches_a_target(points: list[Point], target: float) -> None:
    found = frontier.cheapest_reaching(points, target)
    reaching = [(point.cost, -point.top1, index) for index, point in enumerate(points) if point.top1 >= target]
    assert found == (min(reaching)[2] if reaching else None)


@pytest.mark.parametrize("target", [math.nan, math.inf, -math.inf])
def test_no_cost_of_no_target(target: float) -> None:
    front = [Point(0.5, 1), Point(0.7, 2)]
    assert frontier.cost_at(front, target) is None
    assert frontier.cost_at([], 0.5) is None


def test_points_behind_the_front_do_not_bend_it() -> None:
    points = [Point(0.7, 3.0), Point(0.6, 9.0), Point(0.5, 1.0)]
    assert frontier.cost_at(points, 0.6) == pytest.approx(2.0)


# The same quality


def test_the_published_headline() -> None:
    """$116 of the plain recipe against $14.77 of Mild at 76.6 %."""
    assert frontier.at_same_quality([Point(0.766, 116)], Point(0.766, 14.77)) == Ratio(116 / 14.77, at_least=False)


@given(st.lists(POINT, min_size=1, max_size=8), POINT)
def test_a_ratio_has_the_three_cases_of_its_definition(baseline: list[Point], point: Point) -> None:
    ratio = frontier.at_same_quality(baseline, point)
    front = front_of(baseline)
    highest = max(other.top1 for other in baseline)
    if point.top1 < front[0].top1:
        assert ratio is None
    elif point.top1 > highest:
        dearest = min(other.cost for other in baseline if other.top1 == highest)
        assert ratio == Ratio(dearest / point.cost, at_least=True)
    else:
        cost = frontier.cost_at(baseline, point.top1)
        assert cost is not None and ratio == Ratio(cost / point.cost, at_least=False)


@given(st.lists(POINT, min_size=1, max_size=8))
def test_the_baseline_saves_nothing_against_itself(baseline: list[Point]) -> None:
    for point in front_of(baseline):
        ratio = frontier.at_same_quality(baseline, point)
        assert ratio == Ratio(1.0, at_least=False)
        assert ratio is not None and ratio.saving == 0


def test_a_saving_is_a_share_of_the_cost_of_the_baseline() -> None:
    assert Ratio(4.0, at_least=False).saving == 0.75
    assert Ratio(0.5, at_least=False).saving == -1


def test_each_hardware_and_protocol_has_its_own_baseline() -> None:
    cheap = {"hardware": "a100x8", "usd_per_node_hour": 10.0}
    groups = [
        group_of([0.76], [200.0], group="a", recipe="baseline"),
        group_of([0.76], [50.0], group="b"),
        group_of([0.76], [300.0], group="c", recipe="baseline", **cheap),
        group_of([0.76], [100.0], group="d", **cheap),
        group_of([0.76], [10.0], group="e", eval_crop=256),
        group_of([0.76], [10.0], group="f", nodes=2),
        group_of([0.76], [None], group="g"),
        *(group_of([0.76], [10.0], group=f"cpu{n}", hardware="cpu", devices=0, cpus=n) for n in (2, 4)),
    ]
    ratios = frontier.against_baseline(groups, lambda run: run.recipe == "baseline", "train_seconds")
    assert [None if ratio is None else ratio.value for ratio in ratios] == [1, 4, 1, 3, *[None] * 5]
    dollars = frontier.against_baseline(groups, lambda run: run.recipe == "baseline", "cost_usd")
    assert [None if ratio is None else ratio.value for ratio in dollars[:4]] == pytest.approx([1, 4, 1, 3])
    two_cores = frontier.against_baseline(groups, lambda run: run.cpus == 2, "train_seconds")
    assert two_cores[-2:] == [Ratio(1.0, at_least=False), None]


# Seeds


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_the_standard_error_is_that_of_the_statistics_module(values: list[float]) -> None:
    found = frontier.spread(values)
    assert found is not None and found.sem is not None and found.n == len(values)
    assert found.mean == pytest.approx(statistics.fmean(values), rel=1e-12)
    assert found.sem == pytest.approx(statistics.stdev(values) / math.sqrt(len(values)), rel=1e-6, abs=1e-12)


@given(st.floats(0, 1), st.integers(2, 7))
def test_equal_seeds_have_their_value_as_mean_and_no_error(value: float, n: int) -> None:
    assert frontier.spread([value] * n) == frontier.Spread(value, 0.0, n)


def test_one_seed_has_no_standard_error() -> None:
    group = group_of([0.76])
    assert (group.n, group.top1, group.cost_usd) == (1, frontier.Spread(0.76, None, 1), frontier.Spread(30.0, None, 1))
    assert frontier.spread([]) is None


@pytest.mark.parametrize("unknown", [None, math.nan])
def test_a_group_without_times_has_no_costs_and_one_with_some_says_how_many(unknown: float | None) -> None:
    without = group_of([0.75, 0.77], [unknown, unknown])
    assert (without.train_seconds, without.cost_usd) == (None, None)
    assert math.isnan(frontier.point_of(without, "cost_usd").cost)
    some = group_of([0.75, 0.77, 0.76], [60.0, unknown, 120.0])
    assert some.train_seconds is not None and (some.train_seconds.mean, some.train_seconds.n) == (90.0, 2)
    assert some.top1.n == some.n == 3
    assert frontier.point_of(some, "train_seconds") == Point(some.top1.mean, 90.0)
    assert frontier.point_of(some, "cost_usd") == Point(some.top1.mean, 0.75)
    unpriced = group_of([0.75], usd_per_node_hour=None)
    assert unpriced.cost_usd is None and unpriced.train_seconds is not None


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([224, 256]), TOP1), max_size=10))
def test_every_run_is_in_one_group_of_its_own_kind(rows: list[tuple[str, int, float]]) -> None:
    runs = [
        dataclasses.replace(RUN, run_id=str(index), group=group, eval_crop=crop, top1=top1)
        for index, (group, crop, top1) in enumerate(rows)
    ]
    groups = frontier.aggregate(runs)
    assert sorted(run.run_id for group in groups for run in group.runs) == sorted(run.run_id for run in runs)
    assert len(groups) == len({(group, crop) for group, crop, _ in rows})
    for group in groups:
        assert len({(run.group, run.eval_crop) for run in group.runs}) == 1 and group.n == len(group.runs)
        assert group.top1.mean == pytest.approx(statistics.fmean(run.top1 for run in group.runs))


def test_runs_without_a_group_are_not_thrown_together() -> None:
    assert [group.n for group in frontier.aggregate([*runs_of([0.7], group=""), *runs_of([0.7], group="x")])] == [1, 1]
    alone = [dataclasses.replace(RUN, run_id=name, group="") for name in ("a", "b")]
    assert [group.key for group in frontier.aggregate(alone)] == ["a", "b"]


def test_protocols_and_datasets_have_fronts_of_their_own() -> None:
    groups = [
        group_of([0.76], [100.0], group="a"),
        group_of([0.75], [200.0], group="b"),
        group_of([0.74], [90.0], group="c", eval_crop=256, tta="flip"),
        group_of([0.10], [300.0], group="d", dataset="digits"),
        group_of([0.99], [None], group="e", dataset="mine"),
    ]
    fronts = frontier.fronts(groups, "train_seconds")
    assert {key: [group.key for group in front] for key, front in fronts.items()} == {
        ("imagenet", "224 px"): ["a"],
        ("imagenet", "256 px, flip TTA"): ["c"],
        ("digits", "224 px"): ["d"],
        ("mine", "224 px"): [],
    }


# Bootstrap


def mean_top1(groups: Sequence[Group]) -> float:
    return groups[0].top1.mean


@settings(max_examples=60)
@given(st.floats(0.2, 0.8), st.lists(st.floats(0, 0.2), min_size=1, max_size=4), st.integers(0, 2**32))
def test_a_bootstrap_interval_of_symmetric_seeds_contains_their_mean(
    center: float, distances: list[float], seed: int
) -> None:
    group = group_of([center + sign * distance for distance in distances for sign in (-1, 1)])
    interval = frontier.bootstrap([group], mean_top1, resamples=200, seed=seed)
    assert interval is not None
    low, high = interval
    assert min(run.top1 for run in group.runs) <= low <= group.top1.mean <= high <= max(run.top1 for run in group.runs)


def test_a_bootstrap_is_deterministic_and_its_seed_matters() -> None:
    groups = [group_of([0.75, 0.76, 0.78, 0.751, 0.7642])]
    first = frontier.bootstrap(groups, mean_top1)
    assert first == frontier.bootstrap(groups, mean_top1)
    assert first != frontier.bootstrap(groups, mean_top1, seed=1)
    assert first is not None and first == pytest.approx(frontier.bootstrap(groups, mean_top1, seed=1), abs=0.002)


def test_a_bootstrap_of_a_mean_is_as_wide_as_the_normal_distribution_says() -> None:
    """With many seeds the percentiles are those of a normal distribution around the mean."""
    draw = random.Random(7)
    group = group_of([draw.gauss(0.76, 0.01) for _ in range(60)])
    for level, deviations in ((0.95, 1.96), (0.5, 0.674)):
        interval = frontier.bootstrap([group], mean_top1, level=level)
        assert interval is not None and group.top1.sem is not None
        assert interval[1] - interval[0] == pytest.approx(2 * deviations * group.top1.sem, rel=0.1)


def test_groups_are_drawn_one_by_one_and_keep_their_size() -> None:
    groups = [group_of([0.7, 0.8], group="two"), group_of([0.9], group="one"), group_of([0.1, 0.2, 0.3], group="three")]
    seen: set[tuple[int, ...]] = set()

    def look(drawn: Sequence[Group]) -> float:
        seen.add(tuple(group.n for group in drawn))
        assert [group.key for group in drawn] == ["two", "one", "three"]
        for group, original in zip(drawn, groups, strict=True):
            assert set(group.runs) <= set(original.runs)
        return drawn[1].top1.mean

    assert frontier.bootstrap(groups, look, resamples=50) == (0.9, 0.9)
    assert seen == {(2, 1, 3)}


def test_no_interval_without_two_seeds_or_where_the_statistic_is_mostly_undefined() -> None:
    assert frontier.bootstrap([group_of([0.7]), group_of([0.8], group="h")], mean_top1) is None
    assert frontier.bootstrap([], mean_top1) is None
    group = group_of([0.7, 0.8])
    for undefined in (None, math.nan, math.inf):
        answers = iter([undefined] * 6 + [0.5] * 94 + [undefined] * 5 + [0.5] * 95)
        assert frontier.bootstrap([group], lambda _, answers=answers: next(answers), resamples=100) is None
        assert frontier.bootstrap([group], lambda _, answers=answers: next(answers), resamples=100) == (0.5, 0.5)


def test_an_interval_of_a_cost_at_a_target() -> None:
    groups = [
        group_of([0.75, 0.752, 0.748], [100.0, 101.0, 99.0], group="short"),
        group_of([0.77, 0.772, 0.768], [200.0, 202.0, 198.0], group="long"),
    ]

    def cost(groups: Sequence[Group]) -> float | None:
        return frontier.cost_at([frontier.point_of(group, "train_seconds") for group in groups], 0.76)

    interval = frontier.bootstrap(groups, cost)
    assert cost(groups) == pytest.approx(150)
    assert interval is not None and 140 < interval[0] < 150 < interval[1] < 160
