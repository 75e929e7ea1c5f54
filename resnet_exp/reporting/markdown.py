"""``frontier.md``: tables of the configurations that are worth their time and cost."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from resnet_exp.core.terminal.text import dollars, plural, printable, span, with_error
from resnet_exp.results import frontier
from resnet_exp.results.collect import Collected
from resnet_exp.results.frontier import Axis, Group, Ratio, Spread
from resnet_exp.results.record import RunRecord

# Rows of a table beyond its front; all runs are in runs.csv.
MAX_OTHERS = 100
# Most reasons for missing runs in the file.
MAX_REASONS = 50
# With more runs than this, only runs on the front are resampled for an interval: 1,000 times all would take minutes.
MAX_RESAMPLED = 500
NONE = "–"
HEAD = ("front", "recipe", "model", "ssr", "epochs", "hardware", "n", "top-1 (%)", "time", "cost", "speed-up", "saving")
HEAD_PUBLISHED = ("name", "recipe", "model", "hardware", "n", "top-1 (%)", "time", "what it covers", "cost", "source")
WORDS = r"""
Means ± standard error over n runs that differ only in the seed; with n = 1 the error is unknown. Time covers training
only, without evaluation and start-up. Cost is that time at the price that the run recorded. **t** and **\$** mark the
configurations on the front of time and of cost: no other one is both better and faster, or both better and cheaper.
Other datasets and evaluation protocols have separate tables. Speed-up and saving compare with {baseline} at the same
top-1 on the same hardware; ≥ means that {baseline} does not reach it, and its best is used.
""".strip()


@dataclass(frozen=True)
class Wanted:
    """What the user requests: the baseline recipe, and a target top-1 (a fraction)."""

    baseline: str
    target: float | None = None


def frontier_table(collected: Collected, published: Sequence[RunRecord], wanted: Wanted, today: str) -> str:
    """The whole file; `today` is its date."""
    groups = frontier.aggregate(collected.runs)
    keyed: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        keyed.setdefault(frontier.frontier_key(group.runs[0]), []).append(group)
    parts = [
        "# Frontier",
        f"{len(collected.runs):,} finished runs of {plural(len(groups), 'configuration')}, {today}. "
        f"{summary(collected)}.",
        *([WORDS.format(baseline=cell(wanted.baseline))] if groups else []),
    ]
    for (dataset, protocol), members in keyed.items():
        parts.append(f"## {cell(dataset)}, evaluated at {cell(protocol)}")
        if wanted.target is not None:
            parts.append(_answer(members, wanted.target))
        parts.append(_own_table(members, wanted.baseline))
    if groups:
        parts += ["## Prices", _prices(collected.runs)]
    if published:
        parts += ["## Published runs", _published_table(published)]
    if lines := reasons(collected, MAX_REASONS):
        parts += ["## Not in these tables", "\n".join(f"- {cell(line)}" for line in lines)]
    return "\n\n".join(parts) + "\n"


def summary(collected: Collected) -> str:
    """``10 runs: 7 done, 2 failed, 1 running``."""
    counts = collected.counts()
    parts = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
    total = sum(counts.values())
    return plural(total, "run") + (f": {parts}" if parts else "")


def reasons(collected: Collected, most: int) -> list[str]:
    """Why runs are not finished: one line per reason, the most frequent first, at most `most` lines."""
    found: dict[tuple[str, str], list[str]] = {}
    for path, why in collected.unreadable:
        found.setdefault(("unreadable", why), []).append(path.name)
    for state in collected.states:
        found.setdefault((state.kind, state.why or state.epochs), []).append(state.run_id)
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))
    lines = [
        printable(f"{len(names):,} {kind}{f' ({why})' if why else ''}: {names[0]}{', ...' if len(names) > 1 else ''}")
        for (kind, why), names in ordered[:most]
    ]
    hidden = sum(len(names) for _, names in ordered[most:])
    return [*lines, f"{hidden:,} more for other reasons"] if hidden else lines


def cell(text: str) -> str:
    """Escape a text for one cell of a Markdown table."""
    return re.sub(r"([\\`*_|<>\[\]~&$])", r"\\\1", printable(text))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the cells are already Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _own_table(groups: Sequence[Group], baseline: str) -> str:
    fastest, cheapest = _front(groups, "train_seconds"), _front(groups, "cost_usd")
    times = _ratios(groups, baseline, "train_seconds")
    savings = _ratios(groups, baseline, "cost_usd")
    on_front = {**fastest, **cheapest}
    several_sizes = len({group.runs[0].eval_resize for group in groups}) > 1

    def order(group: Group) -> tuple[bool, float]:
        return id(group) not in on_front, frontier.point_of(group, "train_seconds").cost

    ordered = sorted(groups, key=order)
    shown = ordered[: len(on_front) + MAX_OTHERS]
    rows = []
    for group in shown:
        run, key = group.runs[0], id(group)
        rows.append([
            "".join(sign for sign, front in (("t", fastest), (r"\$", cheapest)) if key in front),
            cell(run.recipe), cell(run.model), _number(run.ssr), _number(run.epochs), cell(_hardware(run)),
            str(group.n), _percent(group.top1), _mean_time(group.train_seconds),
            _mean_cost(group.cost_usd), _times(times[key]), _saving(savings[key]),
            _marks(group, several_sizes), cell(group.key),
        ])  # fmt: skip
    text = table([*HEAD, "marks", "group"], rows)
    if hidden := len(ordered) - len(shown):
        text += f"\n\n{hidden:,} more configurations, none of them on a front, are in runs.csv."
    return text


def _front(groups: Sequence[Group], axis: Axis) -> dict[int, Group]:
    points = [frontier.point_of(group, axis) for group in groups]
    return {id(groups[index]): groups[index] for index in frontier.pareto_front(points)}


def _ratios(groups: Sequence[Group], baseline: str, axis: Axis) -> dict[int, Ratio | None]:
    found = frontier.against_baseline(groups, lambda run: run.recipe == baseline, axis)
    return {id(group): ratio for group, ratio in zip(groups, found, strict=True)}


def _answer(groups: Sequence[Group], target: float) -> str:
    """The fastest and the cheapest configuration that reaches a top-1, and the interpolation for exactly that top-1."""
    lines = []
    questions: tuple[tuple[str, Axis, Callable[[float], str]], ...] = (
        ("Fastest", "train_seconds", _time),
        ("Cheapest", "cost_usd", _dollars),
    )
    for word, axis, text in questions:
        points = [frontier.point_of(group, axis) for group in groups]
        index = frontier.cheapest_reaching(points, target)
        if index is None:
            lines.append(f"{word} to {target:.1%}: no configuration reaches it at a known {_what(axis)}.")
            continue
        group, run = groups[index], groups[index].runs[0]
        name = cell(f"recipe={run.recipe} ssr={_number(run.ssr)} on {_hardware(run)}")
        reached = frontier.seeds_reaching(group, target)
        some = "" if reached == group.n else f" on average; {reached} of {group.n} seeds reached it"
        lines.append(
            f"{word} to {target:.1%}: {name}, {_percent(group.top1)} % in {text(points[index].cost)}{some}."
            f"{_between(frontier.all_lengths_of(groups, run), axis, target, text)}"
        )
    return "\n".join(f"- {line}" for line in lines)


def _between(groups: Sequence[Group], axis: Axis, target: float, text: Callable[[float], str]) -> str:
    """Cost of exactly `target`, interpolated between two lengths of one recipe, with its interval."""
    cost = _cost_at(groups, axis, target)
    if cost is None:
        return ""
    many = sum(group.n for group in groups) > MAX_RESAMPLED
    drawn = list(_front(groups, axis).values()) if many else groups
    interval = frontier.bootstrap(drawn, lambda drawn: _cost_at(drawn, axis, target))
    single = all(group.n < 2 for group in groups)
    why = "each length has one seed" if single else "too many draws of the seeds do not reach it, or reach more"
    known = f" (95 %: {text(interval[0])} to {text(interval[1])})" if interval else f" (no interval: {why})"
    return f" Between its lengths: {text(cost)}{known}."


def _cost_at(groups: Sequence[Group], axis: Axis, target: float) -> float | None:
    return frontier.cost_at([frontier.point_of(group, axis) for group in groups], target)


def _what(axis: Axis) -> str:
    return "time" if axis == "train_seconds" else "price"


def _marks(group: Group, several_sizes: bool) -> str:
    """Caveats of a row; `several_sizes`: the crops were cut from images of several sizes."""
    runs = group.runs
    mixed = sum(len(run.commits) > 1 for run in runs)
    commits = {commit for run in runs for commit in run.commits}
    prices = {(run.usd_per_node_hour, run.price_date) for run in runs}
    found = [
        _some(sum(run.resumed > 0 for run in runs), group.n, "resumed"),
        _some(mixed, group.n, "of mixed commits"),
        f"seeds of {len(commits)} commits" if len(commits) > 1 and not mixed else "",
        _some(sum(run.dirty for run in runs), group.n, "with uncommitted changes"),
        f"{len(prices)} prices" if len(prices) > 1 else "",
        f"evaluated at {runs[0].evaluated}" if several_sizes else "",
    ]
    return "; ".join(mark for mark in found if mark)


def _some(count: int, total: int, what: str) -> str:
    return "" if count == 0 else what if count == total else f"{count} of {total} {what}"


def _prices(runs: Sequence[RunRecord]) -> str:
    found = Counter((_hardware(run), run.usd_per_node_hour, run.price_date or "") for run in runs)
    rows = [
        [cell(hardware), NONE if usd is None else f"{_dollars(usd)} an hour a node", cell(date), f"{count:,}"]
        for (hardware, usd, date), count in sorted(found.items(), key=lambda item: str(item[0]))
    ]
    return table(["hardware", "price", "of", "runs"], rows)


def _published_table(runs: Sequence[RunRecord]) -> str:
    rows = []
    for group in frontier.aggregate(runs):
        run = group.runs[0]
        stated = "" if run.published_cost_usd is None else f"{_dollars(run.published_cost_usd)} as stated"
        paid = "" if group.cost_usd is None else f"{_mean_cost(group.cost_usd)} at {_priced(run)}"
        rows.append([
            cell(group.key), cell(run.recipe), cell(run.model), cell(_hardware(run)), str(group.n),
            f"{_percent(group.top1)}, {cell(run.evaluated)}", _mean_time(group.train_seconds),
            cell(run.clock) or NONE, "; ".join(filter(None, (stated, paid))) or NONE, cell(run.source),
        ])  # fmt: skip
    text = "Published runs: their times cover different things, and their evaluation protocols differ."
    return f"{text}\n\n{table(HEAD_PUBLISHED, rows)}"


def _priced(run: RunRecord) -> str:
    dated = f" of {cell(run.price_date)}" if run.price_date else ""
    return f"{_dollars(run.usd_per_node_hour or 0)} an hour{dated}"


def _hardware(run: RunRecord) -> str:
    text = run.hardware if run.gpu is None or run.gpu in run.hardware else f"{run.hardware} ({run.gpu})"
    return f"{run.nodes} x {text}" if run.nodes > 1 else text


def _percent(spread: Spread) -> str:
    return f"{100 * spread.mean:.2f}" if spread.sem is None else with_error(100 * spread.mean, 100 * spread.sem, 2)


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:g}"


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else span(seconds)


def _mean_time(spread: Spread | None) -> str:
    if spread is None:
        return NONE
    if spread.sem is None:
        return _time(spread.mean)
    # The units of `_time`.
    divisor, unit, digits = (
        (1, "s", 1) if spread.mean < 100 else (60, "min", 1) if spread.mean < 6000 else (3600, "h", 2)
    )
    return f"{with_error(spread.mean / divisor, spread.sem / divisor, digits)} {unit}"


def _mean_cost(spread: Spread | None) -> str:
    if spread is None:
        return NONE
    if spread.sem is None:
        return _dollars(spread.mean)
    return with_error(spread.mean, spread.sem, 2 if spread.mean >= 0.1 else 4, r"\$")


def _dollars(value: float) -> str:
    return f"\\{dollars(value)}"


def _times(ratio: Ratio | None) -> str:
    return NONE if ratio is None else f"{'≥ ' * ratio.at_least}{ratio.value:.2f}×"


def _saving(ratio: Ratio | None) -> str:
    return NONE if ratio is None else f"{'≥ ' * ratio.at_least}{round(100 * ratio.saving)}%"
