"""Generated cases for the Explorer page: points, seeds, and whole pages of runs with what a user chooses on them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import urlencode

from resnet_exp.results.frontier import Point
from resnet_exp.results.prices import Price
from resnet_exp.results.record import RunRecord

PRESETS = {
    name: Price(name, "aws", "A100", 8, today, spot, "2026-01-01", "list", "2026-01-02", "list")
    for name, today, spot in (("p4d", 20.0, 8.0), ("a100x8", 30.0, None), ("cpu", None, None))
}


def random_point(draw: random.Random, coarse: bool, odd: float) -> Point:
    """A point; `coarse`: of few values, so that many are equal; `odd`: the share that does not count."""
    top1 = draw.randint(0, 5) / 5 if coarse else draw.random()
    cost = float(draw.randint(1, 6)) if coarse else draw.uniform(0.1, 9)
    if draw.random() < odd:
        bad = draw.choice([math.nan, math.inf, -math.inf])
        return draw.choice([Point(bad, cost), Point(top1, bad), Point(top1, 0.0), Point(top1, -cost)])
    return Point(top1, cost)


@dataclass
class FrontCase:
    """Points, others that compare with them, a top-1 to reach, and a budget."""

    points: list[Point]
    others: list[Point]
    target: float

    @property
    def budget(self) -> float:
        """A cost, often that of a point."""
        draw = random.Random(repr(self.points))
        costs = [point.cost for point in self.points if math.isfinite(point.cost)]
        return draw.choice([draw.uniform(0.5, 1.5) * draw.choice(costs or [1.0]), *costs, math.inf])


def front_case(draw: random.Random) -> FrontCase:
    """Points of which some may be equal or may not count."""
    coarse, odd = draw.random() < 0.6, draw.choice([0, 0, 0.2, 0.9])
    some = [random_point(draw, coarse, odd) for _ in range(draw.randint(0, 12))]
    asked = [random_point(draw, coarse, odd) for _ in range(draw.randint(0, 5))]
    targets = [draw.random(), *(point.top1 for point in (*some, *asked)), math.nan, math.inf, -math.inf]
    return FrontCase(some, [*asked, *some], draw.choice(targets))


@dataclass
class SeedsCase:
    """Groups of a point for each seed, and a top-1 that some of them reach."""

    groups: list[list[Point]]
    target: float


def seeds_case(draw: random.Random) -> SeedsCase:
    """Groups whose seeds differ in top-1, in cost, in both or not at all."""
    coarse, odd = draw.random() < 0.5, draw.choice([0, 0.1, 0.4])
    groups = []
    for _ in range(draw.randint(1, 6)):
        mean = random_point(draw, coarse, 0)
        points = [
            Point(mean.top1 + draw.choice([0, draw.random() / 10]), mean.cost * draw.choice([1, 1 + draw.random()]))
            for _ in range(draw.choice([1, 2, 3, 5]))
        ]
        groups.append([replace(point, cost=math.nan) if draw.random() < odd else point for point in points])
    low, high = (end(point.top1 for group in groups for point in group) for end in (min, max))
    return SeedsCase(groups, draw.uniform(low, high))


def random_run(draw: random.Random, coarse: bool) -> RunRecord:
    """A configuration: what its seeds have in common."""
    crop, tta = draw.choice([(224, ""), (224, ""), (256, "flip"), (None, "")])
    return RunRecord(
        run_id="", published=draw.random() < 0.3, recipe=draw.choice(["mild", "baseline", "baseline", "naïve & slow"]),
        model=draw.choice(["resnet50", "resnet50", "resnet101"]), dataset=draw.choice(["imagenet", "imagenet", "own"]),
        data=draw.choice(["ffcv", "streaming", ""]), algorithms=draw.choice([None, (), ("ema",), ("ema", "sam")]),
        cloud=draw.choice(["aws", None]), hardware=draw.choice(["p4d", "p4d", "a100x8", "cpu", "my box"]),
        gpu=draw.choice(["A100", None]), devices=draw.choice([8, 8, 1, 1, 0]), nodes=draw.choice([1, 1, 1, 4]),
        cpus=draw.choice([8, 96]), ssr=draw.choice([0.1, 0.5, None]), seed=0, epochs=draw.choice([9.0, 18.0, None]),
        top1=draw.randint(60, 80) / 100 if coarse else draw.uniform(0.6, 0.8), top5=None,
        train_seconds=float(draw.randint(1, 4) * 900) if coarse else draw.uniform(100, 9000), eval_seconds=None,
        usd_per_node_hour=draw.choice([12.0, 12.0, 40.0, None]), price_date=None, published_cost_usd=None,
        eval_resize=draw.choice([256, None]), eval_crop=crop, tta=tta, clock=draw.choice(["training", ""]), group="",
        resumed=0, commits=(), dirty=False, images_per_second=None, data_wait_seconds=None,
        energy_kwh=draw.choice([0.5, 3.0, None]), source="", path=None, sweep=None, command=None, curve=(),
    )  # fmt: skip


def _random_seeds(draw: random.Random, config: RunRecord, name: str) -> list[RunRecord]:
    """Runs of a configuration; a tenth of them have no group."""
    group = name if draw.random() < 0.9 else ""
    seconds = config.train_seconds or 0
    return [
        replace(
            config, run_id=f"{name}, {config.protocol}, seed {seed}", seed=seed, group=group,
            top1=config.top1 + draw.choice([0.0, 0.01 * draw.randint(-2, 2), draw.uniform(-0.01, 0.01)]),
            train_seconds=draw.choice([seconds] * 8 + [1.1 * seconds, None, 0.0, math.nan]),
            usd_per_node_hour=draw.choice([config.usd_per_node_hour] * 5 + [7.0]),
            energy_kwh=draw.choice([config.energy_kwh, None]), resumed=draw.choice([0, 0, 0, 1, 2]),
            dirty=draw.random() < 0.1, commits=draw.choice([("a",), ("a",), ("a", "b")]),
        )
        for seed in range(draw.choice([1, 1, 2, 3, 5]))
    ]  # fmt: skip


def _variant(draw: random.Random, config: RunRecord, coarse: bool) -> RunRecord:
    """Another configuration, as a rule one that differs in a single setting and its numbers."""
    other = random_run(draw, coarse)
    if draw.random() < 0.3:
        return other
    name = draw.choice(["published", "recipe", "model", "hardware", "devices", "nodes", "cpus", "clock", "eval_crop"])
    numbers = {"top1": other.top1, "train_seconds": other.train_seconds}
    return replace(config, **{name: getattr(other, name)}, **numbers)


def random_runs(draw: random.Random) -> list[RunRecord]:
    """Runs of a page: several configurations, some in several lengths, in any order."""
    coarse = draw.random() < 0.5
    runs: list[RunRecord] = []
    config = random_run(draw, coarse)
    for number in range(draw.randint(1, 7)):
        config = _variant(draw, config, coarse)
        for length in range(1, draw.choice([1, 1, 1, 3]) + 1):
            longer = replace(
                config, ssr=length, top1=config.top1 + 0.05 * length, train_seconds=length * (config.train_seconds or 0)
            )
            runs += _random_seeds(draw, longer, f"{number}x{length}")
        if draw.random() < 0.2:
            # The same name, but not evaluated in the same way.
            runs += _random_seeds(draw, replace(config, eval_crop=160), f"{number}x1")
    draw.shuffle(runs)
    return runs


SIGNS = {"with": "", "without": "-", "unstated": "?"}


def runs_of_many_series(draw: random.Random) -> list[RunRecord]:
    """More recipes and machines than can have names, some of ours among them."""
    names = [*("hot", "medium", "mild", "baseline"), *(f"r{number}" for number in range(20))]
    return [
        replace(random_run(draw, coarse=True), run_id=f"{number}", group=f"{number}", recipe=draw.choice(names),
                hardware=f"m{draw.randrange(18)}", dataset="own", eval_crop=224, tta="")
        for number in range(60)
    ]  # fmt: skip


@dataclass
class View:
    """What the user chose, by the names of the address."""

    dataset: str
    words: dict[str, str] = field(default_factory=dict)
    recipe: list[str] = field(default_factory=list)
    protocol: list[str] = field(default_factory=list)
    algorithms: dict[str, str] = field(default_factory=dict)
    own: dict[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        """The value of a name, as it is unless it was chosen."""
        return self.words.get(name, DEFAULTS[name])

    def address(self) -> str:
        """The fragment that the page has for it."""
        pairs = [("dataset", self.dataset), *self.words.items()]
        pairs += [("recipe", recipe) for recipe in self.recipe]
        pairs += [("protocol", protocol) for protocol in self.protocol]
        pairs += [("algorithms", SIGNS[use] + name) for name, use in self.algorithms.items()]
        pairs += [(f"price.{name}", str(price)) for name, price in self.own.items()]
        return urlencode(pairs)


def edge_pages(draw: random.Random) -> list[tuple[list[RunRecord], list[View]]]:
    """Pages that chance does not make: the known target at an end of the range, machines of fewer GPUs, two clouds."""
    one = replace(random_run(draw, coarse=True), dataset="imagenet", published=False, eval_crop=224, tta="")
    pages: list[tuple[list[RunRecord], list[View]]] = []
    for tops in ((0.766, 0.782), (0.752, 0.766), (0.767, 0.782), (0.752, 0.765)):
        runs = [replace(one, run_id=f"{top1}", group=f"{top1}", top1=top1) for top1 in tops]
        pages.append((runs, [View("imagenet", {"baseline": one.recipe})]))
    base = replace(one, run_id="base", group="base", recipe="baseline", devices=8, train_seconds=100.0)
    fewer = [replace(base, run_id=f"{n}", group=f"{n}", recipe="mild", devices=n, cpus=n) for n in (1, 4, 8)]
    pages.append(([base, *fewer], [View("imagenet")]))
    split = [
        replace(one, run_id=cloud, group="split", cloud=cloud, seed=seed) for seed, cloud in enumerate(("aws", "gcp"))
    ]
    pages.append((split, [View("imagenet", {"baseline": one.recipe, "cloud": "aws", "seeds": "several"})]))
    return pages


DEFAULTS = {
    "model": "all", "cloud": "all", "hardware": "all", "seeds": "all", "published": "on", "show": "means", "x": "time",
    "prices": "today", "compare": "recipe", "sortBy": "accuracy", "order": "usual", "baseline": "baseline",
    "target": "", "budget": "", "selected": "",
}  # fmt: skip


SORTS = [
    "accuracy", "time", "cost", "timeSameQuality", "costSameQuality", "frontier", "n", "protocol", "recipe", "ssr",
    "epochs", "model", "hardware", "data", "clock",
]  # fmt: skip


def random_view(draw: random.Random, runs: Sequence[RunRecord]) -> View:
    """Filters, prices, an axis, an order, a baseline and a target, each of them now and then."""

    def values(of: Callable[[RunRecord], str | None]) -> list[str]:
        return sorted({value for run in runs if (value := of(run))})

    words = {
        "model": values(lambda run: run.model), "cloud": values(lambda run: run.cloud),
        "hardware": values(lambda run: run.hardware), "seeds": ["several", "single"], "published": ["off"],
        "show": ["runs"], "x": ["cost", "epochs", "energy"], "prices": ["spot", "recorded"], "sortBy": SORTS,
        "order": ["reversed"],
        "selected": [*values(lambda run: run.group), *values(lambda run: run.run_id)],
        "compare": ["hardware", "model", "data", "none"], "target": ["none", "65", "70", "72.5", "76.6", "99.9"],
        "baseline": [*values(lambda run: run.recipe), *values(lambda run: f"{run.recipe}@{run.hardware}"),
                     *values(lambda run: run.group), *values(lambda run: run.run_id)],
    }  # fmt: skip
    often = {"sortBy": 0.9, "baseline": 0.7, "x": 0.5, "order": 0.4, "target": 0.7, "prices": 0.5}
    chosen = {name: draw.choice(some) for name, some in words.items() if some and draw.random() < often.get(name, 0.12)}
    # Of its own, so that the rest is the same with it.
    bought = random.Random(repr(chosen))
    if bought.random() < 0.6:
        chosen["budget"] = bought.choice(["30s", "90s", "2min", "10min", "1.5h", ".5usd", "3usd", "10usd", "300usd"])
    if "baseline" not in values(lambda run: run.recipe):
        chosen.setdefault("baseline", runs[0].recipe)
    several = partial(_some_of, draw)
    return View(
        draw.choice(runs).dataset,
        chosen,
        several(values(lambda run: run.recipe), 0.2),
        several(values(lambda run: run.protocol), 0.3),
        {
            name: draw.choice(list(SIGNS))
            for name in several(sorted({name for run in runs for name in run.algorithms or ()}), 0.3)
        },
        {name: draw.choice([1.0, 25.5]) for name in several(values(lambda run: run.hardware), 0.3)},
    )


def _some_of(draw: random.Random, values: Sequence[str], share: float) -> list[str]:
    return draw.sample(values, draw.randint(1, min(2, len(values)))) if values and draw.random() < share else []
