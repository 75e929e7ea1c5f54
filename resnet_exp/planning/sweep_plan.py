"""The plan of a sweep: its runs by recipe, their time and cost, what is left. Few lines, however many runs."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_exp.config import disk_usage, initial_weights, schedule
from resnet_exp.config.checks import validate
from resnet_exp.config.overrides import command_line
from resnet_exp.config.schema import BasicLauncherConfig, LauncherConfig, RunConfig, SlurmLauncherConfig
from resnet_exp.core.cost import SECONDS_PER_HOUR
from resnet_exp.core.machine import devices
from resnet_exp.core.terminal.text import below_here, between, byte_size, dollars, plural, span, text_table
from resnet_exp.launch import summary
from resnet_exp.launch.dataset import changed_data
from resnet_exp.planning import other_hardware, schedule_text, training_time
from resnet_exp.planning.lines import Line, PlannedText, Range, check_runs_dir, measuring_command
from resnet_exp.planning.training_time import Estimate, History
from resnet_exp.runs.result import recipe_text
from resnet_exp.runs.states import KINDS, RunState
from resnet_exp.sweep.planned import PlannedRun, Sweep

# Most lines of each kind.
GROUPS, BASES, COMMANDS, NOTES = 8, 4, 3, 4
HEAD = ("recipe", "runs", "done", "ssr", "seeds", "length", "time", "cost")

Command = Callable[[PlannedRun, float], str]


@dataclass(frozen=True)
class RunOutlook:
    """One run of a sweep: its state, and its training time if it is known or can be estimated."""

    run: PlannedRun
    state: RunState
    time: Estimate | None

    @property
    def done(self) -> bool:
        """Whether the run is finished."""
        return self.state.kind == "done"

    @property
    def cost_usd(self) -> Range | None:
        """Lowest and highest cost of the training time in dollars; None without a time or a price."""
        if self.time is None:
            return None
        low, high = (self.run.config.hardware.price_usd(each) for each in (self.time.low, self.time.high))
        return None if low is None or high is None else (low, high)


@dataclass(frozen=True, kw_only=True, repr=False)
class SweepPlan(PlannedText):
    """What a sweep would do.

    Attributes:
        name: of the sweep.
        runs: each of its runs; of a search, runs at random points of the same ranges.
    """

    name: str
    runs: tuple[RunOutlook, ...]


def plan_sweep(sweep: Sweep, launcher: LauncherConfig, words: Sequence[str]) -> SweepPlan:
    """The plan of a sweep.

    Args:
        sweep: the sweep to plan.
        launcher: the launcher that would run it.
        words: of its command line.

    Raises:
        RequestError: a run would be refused.
    """
    check_runs_dir(sweep.runs_dir)
    on_slurm = isinstance(launcher, SlurmLauncherConfig)
    options = command_line.options_on_slurm(words) if on_slurm else command_line.options_here(words)
    history = History(sweep.runs_dir)
    outlooks = [_outlook_of(run, state, history) for run, state in zip(sweep.runs, sweep.states(), strict=True)]
    left = [outlook for outlook in outlooks if not outlook.done]
    where = f"with hydra/launcher={launcher.name} in {below_here(sweep.runs_dir)}"
    if sweep.search:
        head = _search(sweep, outlooks, where)
    else:
        head = [
            f"{sweep.name}: {_count(outlooks)} {where}",
            ("state", _states(outlooks)),
            *_table(_grouped(outlooks)),
            ("time", _time(outlooks)),
            *([("left", f"{_count(left)}, {_wall_clock(left, launcher)}")] if left else []),
            ("cost", _cost(outlooks, left)),
            ("disk", _disk(outlooks)),
            *_schedules(outlooks),
            *other_hardware.elsewhere([outlook.run.config for outlook in left], history).lines(),
        ]
    lines = [
        *head,
        *_bases(outlooks),
        *_commands(outlooks, history, lambda run, ssr: measuring_command([*options, *run.overrides], ssr)),
        *_notes(sweep),
        *(("note", note) for note in history.notes()),
    ]
    return SweepPlan(name=sweep.name, runs=tuple(outlooks), lines=tuple(lines))


def _search(sweep: Sweep, outlooks: list[RunOutlook], where: str) -> list[Line]:
    """The plan of a search: its runs are not chosen yet, so random points of the same ranges are shown instead."""
    random = f"{_count(outlooks)} at random points of these ranges: "
    return [
        f"{sweep.name}: a search of {len(sweep.requested_ids):,} trials {where}",
        ("space", f"{sweep.search}; the search chooses each point by the results before it"),
        ("time", random + _time(outlooks)),
        ("cost", random + _cost(outlooks, outlooks)),
    ]


def _outlook_of(run: PlannedRun, state: RunState, history: History) -> RunOutlook:
    if state.train_seconds is not None:
        return RunOutlook(run, state, Estimate(state.train_seconds, state.train_seconds, ""))
    return RunOutlook(run, state, training_time.estimate_time(run.config, history))


def _count(runs: Iterable[Any]) -> str:
    return plural(len(list(runs)), "run")


def _states(outlooks: list[RunOutlook]) -> str:
    found = Counter(outlook.state.kind for outlook in outlooks)
    return ", ".join(f"{found[kind]:,} {'not started' if kind == 'missing' else kind}" for kind in KINDS if found[kind])


def _recipe(config: RunConfig) -> str:
    return recipe_text(config.recipe, config.speed.name, initial_weights.label(config.init_from))


def _grouped(outlooks: list[RunOutlook]) -> dict[str, list[RunOutlook]]:
    """The runs by recipe, and by model, dataset and hardware where these differ."""
    names = [
        [_recipe(config), config.model.name, config.dataset.name, config.hardware.name]
        for config in (outlook.run.config for outlook in outlooks)
    ]
    varied = [column == 0 or len({row[column] for row in names}) > 1 for column in range(4)]
    groups: dict[str, list[RunOutlook]] = {}
    for outlook, row in zip(outlooks, names, strict=True):
        label = " ".join(name for name, shown in zip(row, varied, strict=True) if shown)
        groups.setdefault(label, []).append(outlook)
    return groups


def _table(groups: dict[str, list[RunOutlook]]) -> list[str]:
    shown = list(groups.items())
    rest = [outlook for _, members in shown[GROUPS:] for outlook in members]
    rows = [_cells(label, members) for label, members in shown[:GROUPS]]
    if rest:
        rows.append(_cells(f"{len(shown) - GROUPS} more", rest))
    return [f"  {line}" for line in text_table([HEAD, *rows])]


def _cells(label: str, members: list[RunOutlook]) -> tuple[str, ...]:
    configs = [member.run.config for member in members]
    ratios = [config.ssr for config in configs]
    return (
        label,
        f"{len(members):,}",
        f"{sum(member.done for member in members):,}",
        between(min(ratios), max(ratios), str),
        str(len({config.seed for config in configs})),
        _lengths(configs),
        _cell(members, span, _one),
        _cell(members, dollars, _usd_per_second),
    )


def _lengths(configs: list[RunConfig]) -> str:
    parts = []
    for unit, name in (("ep", "epochs"), ("ba", "batches")):
        if found := [length for length, its in map(schedule.scaled_duration, configs) if its == unit]:
            parts.append(f"{between(min(found), max(found), str)} {name}")
    return ", ".join(parts)


def _known(outlooks: list[RunOutlook]) -> list[tuple[RunOutlook, Estimate]]:
    return [(outlook, outlook.time) for outlook in outlooks if outlook.time is not None]


Rate = Callable[[RunOutlook], float | None]


def _summed(outlooks: list[RunOutlook], show: Callable[[float], str], rate: Rate) -> tuple[str, int]:
    """The sum of all times, each times the run's own rate; and the number of runs whose time or rate is unknown."""
    known = [(time, each) for outlook, time in _known(outlooks) if (each := rate(outlook)) is not None]
    low, high = sum(time.low * each for time, each in known), sum(time.high * each for time, each in known)
    return between(low, high, show), len(outlooks) - len(known)


def _cell(outlooks: list[RunOutlook], show: Callable[[float], str], rate: Rate) -> str:
    text, unknown = _summed(outlooks, show, rate)
    if unknown == len(outlooks):
        return "unknown"
    return f"{text} + {unknown:,} unknown" if unknown else text


def _row(outlooks: list[RunOutlook], show: Callable[[float], str], rate: Rate, what: str) -> str:
    text, unknown = _summed(outlooks, show, rate)
    if unknown == len(outlooks):
        return "unknown"
    whose = f" for {len(outlooks) - unknown:,} of {_count(outlooks)}, unknown for the others" if unknown else " in all"
    return f"{'' if all(outlook.done for outlook in outlooks) else 'about '}{text} {what}{whose}"


def _one(outlook: RunOutlook) -> float:
    return 1


def _usd_per_second(outlook: RunOutlook) -> float | None:
    return outlook.run.config.hardware.price_usd(1)


def _gpus(outlook: RunOutlook) -> int:
    """Total GPUs of a run on all its nodes."""
    return _gpus_of_node(outlook) * outlook.run.config.hardware.nodes


def _gpus_of_node(outlook: RunOutlook) -> int:
    return outlook.run.config.hardware.gpus_per_node


def _time(outlooks: list[RunOutlook]) -> str:
    hours, _ = _summed(outlooks, lambda seconds: f"{seconds / SECONDS_PER_HOUR:,.1f} GPU hours", _gpus)
    on_gpus = any(_gpus(outlook) for outlook, _ in _known(outlooks))
    return _row(outlooks, span, _one, "of training") + (f": {hours}" if on_gpus else "")


def _wall_clock(left: list[RunOutlook], launcher: LauncherConfig) -> str:
    at_once, words = _at_once(left, launcher)
    known = [time for _, time in _known(left)]
    if at_once is None or not known:
        return f"unknown how long, {words}"
    low, high = (_makespan(times, at_once) for times in ([time.low for time in known], [time.high for time in known]))
    least = f" for {len(known)} of them" if len(known) < len(left) else ""
    begun = ", started runs counted in full" if any(outlook.state.epochs for outlook in left) else ""
    return f"about {between(low, high, span)} of training{least}, {words}{begun}"


def _at_once(left: list[RunOutlook], launcher: LauncherConfig) -> tuple[int | None, str]:
    """How many runs the launcher runs at a time, also as text; None if this machine cannot tell."""
    if isinstance(launcher, BasicLauncherConfig):
        return 1, "one after the other"
    if isinstance(launcher, SlurmLauncherConfig):
        limit = launcher.array_parallelism or len(left)
        return limit, f"with {limit} at a time, once SLURM has the nodes"
    wanted = max(_gpus_of_node(outlook) for outlook in left)
    allowed = launcher.parallel
    if not wanted:
        return allowed or 1, f"with {allowed or 1} at a time"
    there = len(devices.visible_gpus())
    if there < wanted:
        return None, f"as a run needs {wanted} GPUs and this machine has {there}"
    fit = min(allowed or there, there // wanted)
    return fit, f"with {fit} at a time"


def _makespan(seconds: list[float], at_once: int) -> float:
    """Seconds until the last run ends, if each starts as soon as one of `at_once` places is free."""
    free = [0.0] * max(1, min(at_once, len(seconds)))
    for needed in seconds:
        heapq.heappush(free, heapq.heappop(free) + needed)
    return max(free)


def _cost(outlooks: list[RunOutlook], left: list[RunOutlook]) -> str:
    hardware = [outlook.run.config.hardware for outlook in outlooks]
    prices = {summary.hourly(node) for node in hardware if node.usd_per_node_hour is not None}
    if not prices:
        names = ", ".join(sorted({node.name for node in hardware}))
        return f"unknown: hardware={names} has no price"
    at = prices.pop() if len(prices) == 1 else f"{len(prices)} prices an hour"
    rest, _ = _summed(left, dollars, _usd_per_second)
    of_it = f", {rest} of it for what is left" if len(left) < len(outlooks) else ""
    return f"{_row(outlooks, dollars, _usd_per_second, 'to train')}{of_it}; at {at}"


def _disk(outlooks: list[RunOutlook]) -> str:
    configs = [outlook.run.config for outlook in outlooks]
    kept, most = sum(map(disk_usage.kept_bytes, configs)), max(map(disk_usage.run_bytes, configs))
    return f"{byte_size(kept)} of run folders when all are done; up to {byte_size(most)} of a run while it trains"


def _schedules(outlooks: list[RunOutlook]) -> list[Line]:
    """Image sizes and learning rate of the longest run of each recipe."""
    longest: dict[str, RunConfig] = {}
    for config in sorted((outlook.run.config for outlook in outlooks), key=lambda config: config.ssr):
        longest[_recipe(config)] = config
    return [
        (
            "course",
            f"{name} ssr={config.ssr:g}: {schedule_text.sizes_text(config)}; "
            f"lr {schedule_text.learning_rate_text(config)}",
        )
        for name, config in list(longest.items())[:BASES]
    ]


def _bases(outlooks: list[RunOutlook]) -> list[Line]:
    found: Counter[str] = Counter()
    for outlook, time in _known(outlooks):
        if not outlook.done:
            found[f"{_recipe(outlook.run.config)}: {time.basis}"] += 1
    shown: list[Line] = [("basis", basis) for basis, _ in found.most_common(BASES)]
    return shown + [("basis", f"{len(found) - BASES} more")] * (len(found) > BASES)


def _commands(outlooks: list[RunOutlook], history: History, command: Command) -> list[Line]:
    unknown: dict[str, RunOutlook] = {}
    for outlook in outlooks:
        if outlook.time is None:
            unknown.setdefault(training_time.speed_key(outlook.run.config), outlook)
    rows: list[Line] = []
    for outlook in list(unknown.values())[:COMMANDS]:
        config = outlook.run.config
        per_epoch = training_time.batches_per_epoch(config, training_time.train_images(config, history))
        rows.append(("measure", command(outlook.run, training_time.measuring_ssr(config, per_epoch))))
    return rows + [("measure", f"{len(unknown) - COMMANDS} more")] * (len(unknown) > COMMANDS)


def _notes(sweep: Sweep) -> list[Line]:
    """A line for each kind of note: the first of the kind, and how many runs have one; numbers make no other kind."""
    kinds: dict[str, list[str]] = {}
    for run in sweep.runs:
        for note in validate.notes(run.config):
            kinds.setdefault(re.sub(r"[\d.]+", "", note), []).append(note)
    changed = [f"{path.name} was trained on other images: {how}" for path, how in _changed(sweep)]
    if changed:
        kinds["images"] = changed
    found = sorted(kinds.values(), key=len, reverse=True)
    shown: list[Line] = [
        ("note", f"{len(notes):,} of {_count(sweep.runs)}, for example: {notes[0]}") for notes in found[:NOTES]
    ]
    return shown + [("note", f"{len(found) - NOTES} more")] * (len(found) > NOTES)


def _changed(sweep: Sweep) -> list[tuple[Path, str]]:
    return list(changed_data(run.config for run in sweep.runs))
