"""``plan target_top1=0.766``: the cheapest and the fastest known way to a top-1, from your own and published runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from resnet_exp.config.identity import NAMED_DATASETS
from resnet_exp.config.overrides import command_line
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import dollars, fraction, percent_with_error, plural, span
from resnet_exp.launch.dataset import fingerprint_of
from resnet_exp.planning.sweep_plan import Line
from resnet_exp.results import collect, frontier, prices
from resnet_exp.results.collect import Collected
from resnet_exp.results.datasets import folder_of
from resnet_exp.results.frontier import Axis, Group
from resnet_exp.results.published_runs import published
from resnet_exp.results.record import RunRecord

AXES: tuple[tuple[str, Axis], ...] = (("cheapest", "cost_usd"), ("fastest", "train_seconds"))


def parse_target(text: str) -> float:
    """A target such as ``0.766``; raises `RequestError` if it is not a fraction."""
    target = fraction(text)
    if target is None:
        raise RequestError(f"target_top1={text} is not a fraction between 0 and 1; 76.6 % is target_top1=0.766")
    return target


def target_lines(target: float, runs_dir: Path, config: RunConfig | None) -> list[Line]:
    """The answer for each data set and evaluation protocol in which a run reached the target.

    Args:
        target: top-1 as a fraction.
        runs_dir: folder of your own runs.
        config: of a run on the data set to look at, or None for all.
    """
    own = collect.collect_runs([runs_dir]) if runs_dir.is_dir() else Collected()
    dataset = None if config is None else _data_set(config, own.runs)
    runs = [run for run in (*own.runs, *published()) if dataset in (None, run.dataset)]
    keyed: dict[tuple[str, str], list[Group]] = {}
    for group in frontier.aggregate(_at_todays_prices(runs)):
        keyed.setdefault(frontier.frontier_key(group.runs[0]), []).append(group)
    answers = [row for key, groups in sorted(keyed.items()) for row in _answer(target, key, groups)]
    left_out = plural(len(own.unreadable), "unreadable run")
    note = [("note", f"{left_out} left out; resnet_exp report names them")] if own.unreadable else []
    return [*(answers or [_not_reached(target, runs, dataset)]), *note]


def _data_set(config: RunConfig, own: Iterable[RunRecord]) -> str:
    """The name that your own runs on the images of a configuration have, or would have."""
    dataset = config.dataset
    fingerprint = fingerprint_of(config)
    if dataset.name not in NAMED_DATASETS:
        for run in own:
            if run.data_set_key == fingerprint or (fingerprint is None and folder_of(run.command) == dataset.dir):
                return run.dataset
    return dataset.name if dataset.name in NAMED_DATASETS else dataset.root


def _at_todays_prices(runs: Iterable[RunRecord]) -> list[RunRecord]:
    today = prices.collect_prices()
    found = []
    for run in runs:
        price = today.get(run.hardware)
        if price is not None and price.usd_per_node_hour is not None:
            run = replace(run, usd_per_node_hour=price.usd_per_node_hour, price_date=price.date)
        found.append(run)
    return found


def _answer(target: float, key: tuple[str, str], groups: Sequence[Group]) -> list[Line]:
    rows: list[Line] = []
    shown: set[int] = set()
    for name, axis in AXES:
        points = [frontier.point_of(group, axis) for group in groups]
        best = frontier.cheapest_reaching(points, target)
        if best is None:
            continue
        rows += [(name, "the same")] if best in shown else _answer_rows(name, groups[best], target)
        shown.add(best)
        line = [frontier.point_of(group, axis) for group in frontier.all_lengths_of(groups, groups[best].runs[0])]
        if (cost := frontier.cost_at(line, target)) is not None and cost != points[best].cost:
            rows.append(("between", f"{_amount(axis, cost)}, interpolated between two of its lengths"))
    dataset, protocol = key
    return [f"{target:.2%} top-1 on {dataset}, evaluated at {protocol}", *rows] if rows else []


def _answer_rows(name: str, group: Group, target: float) -> list[Line]:
    run = group.runs[0]
    cost = _amount("cost_usd", group.cost_usd.mean) if group.cost_usd else "no price"
    time = _amount("train_seconds", group.train_seconds.mean) if group.train_seconds else "no time"
    what = run.recipe if run.ssr is None else f"{run.recipe} ssr={run.ssr:g}"
    top1 = f"{group.top1.mean:.2%}" if group.top1.sem is None else percent_with_error(group.top1.mean, group.top1.sem)
    reached = frontier.seeds_reaching(group, target)
    seeds = plural(group.n, "run") + ("" if reached == group.n else f" of which {reached} reached it")
    whose = f"published: {run.source.partition(';')[0]}" if run.published else "yours"
    price = f" (price of {run.price_date})" if group.cost_usd and run.price_date else ""
    text = f"{cost}{price}, {time} ({run.clock}): {what} on {run.hardware}, {top1}, {seeds}, {whose}"
    if not run.command:
        return [(name, text)]
    planned = command_line.command_of(["plan", *command_line.words_of(run.command)])
    return [(name, text), ("command", run.command), ("elsewhere", f"{planned}    shows the prices of other hardware")]


def _amount(axis: Axis, value: float) -> str:
    return dollars(value) if axis == "cost_usd" else span(value)


def _not_reached(target: float, runs: Sequence[RunRecord], dataset: str | None) -> str:
    where = f" on dataset={dataset}" if dataset else ""
    best = max((run.top1 for run in runs), default=None)
    known = "no run is known" if best is None else f"the best known is {best:.2%}"
    return f"nothing known reaches {target:.2%}{where}: {known}"
