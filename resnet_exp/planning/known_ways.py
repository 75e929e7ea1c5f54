"""What is known of runs, your own and published ones, to answer what a top-1 costs and what a budget buys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from resnet_exp.config.overrides import command_line
from resnet_exp.config.schema import NAMED_DATASETS, RunConfig
from resnet_exp.core.budget import amount_text
from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import percent_with_error, plural
from resnet_exp.launch.dataset import fingerprint_of
from resnet_exp.planning.lines import Line, PlannedText
from resnet_exp.results import collect, frontier, prices
from resnet_exp.results.collect import Collected
from resnet_exp.results.datasets import folder_of
from resnet_exp.results.frontier import Axis, Group
from resnet_exp.results.published_runs import published
from resnet_exp.results.record import RunRecord

# What chooses the runs that are looked at.
LOOKED_AT = ("dataset", "dataset.dir", "hardware", "runs_dir")


@dataclass(frozen=True)
class Way:
    """A configuration that answers a question.

    Attributes:
        name: ``cheapest`` or ``fastest`` to a top-1, or ``best`` for a budget.
        axis: what counts: ``cost_usd`` (dollars) or ``train_seconds``.
        group: its runs, which differ only in the seed, with their mean top-1, time and cost.
        between: what exactly the question's top-1 would cost, or what exactly its budget would reach, interpolated
            between two lengths of this recipe; None where no two lengths enclose it.
    """

    name: str
    axis: Axis
    group: Group
    between: float | None


@dataclass(frozen=True, kw_only=True, repr=False)
class Answer(PlannedText):
    """The known ways to a top-1, or those within a budget, for each data set and evaluation protocol."""

    ways: tuple[Way, ...]


@dataclass(frozen=True)
class Known:
    """The runs that a question is about.

    Attributes:
        groups: by data set and evaluation protocol, since only runs that agree in both can be compared.
        where: what the question has narrowed them to, as text.
        unreadable: number of your runs that cannot be read.
    """

    groups: dict[tuple[str, str], list[Group]]
    where: str
    unreadable: int

    def all_groups(self) -> list[Group]:
        """The groups of all data sets and protocols."""
        return [group for groups in self.groups.values() for group in groups]

    def notes(self) -> list[Line]:
        """What was left out."""
        left_out = plural(self.unreadable, "unreadable run")
        return [("note", f"{left_out} left out; resnet_exp report names them")] if self.unreadable else []


def refuse_idle(words: Sequence[str], question: str) -> None:
    """Raise `RequestError` for a word beside a question that would have no effect."""
    for word in command_line.parse(words).overrides:
        if word.partition("=")[0] not in LOOKED_AT:
            raise RequestError(
                f"{word} has no effect with {question}=, which looks at all runs; it takes {', '.join(LOOKED_AT)}"
            )


def known_runs(config: RunConfig) -> Known:
    """Your finished runs and published ones, at today's prices, on the data set and hardware that a command line names.

    Args:
        config: of a run there.
    """
    names = {word.partition("=")[0] for word in command_line.words_of(config.command or "")}
    runs_dir = Path(config.runs_dir)
    own = collect.collect_runs([runs_dir]) if runs_dir.is_dir() else Collected()
    dataset = _data_set(config, own.runs) if names & {"dataset", "dataset.dir"} else None
    hardware = config.hardware.name if "hardware" in names else None
    runs = [
        run for run in (*own.runs, *published()) if dataset in (None, run.dataset) and hardware in (None, run.hardware)
    ]
    groups: dict[tuple[str, str], list[Group]] = {}
    for group in frontier.aggregate(_at_todays_prices(runs)):
        groups.setdefault(frontier.frontier_key(group.runs[0]), []).append(group)
    words = [f" on dataset={dataset}" if dataset else "", f" with hardware={hardware}" if hardware else ""]
    return Known(dict(sorted(groups.items())), "".join(words), len(own.unreadable))


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


def name_of(run: RunRecord) -> str:
    """Recipe and length."""
    return run.recipe if run.ssr is None else f"{run.recipe} ssr={run.ssr:g}"


def cost_and_time(group: Group) -> tuple[str, str]:
    """What a group took, as text."""
    cost = amount_text("cost_usd", group.cost_usd.mean) if group.cost_usd else "no price"
    time = amount_text("train_seconds", group.train_seconds.mean) if group.train_seconds else "no time"
    return cost, time


def top1_text(group: Group) -> str:
    """What a group reached, as text."""
    return f"{group.top1.mean:.2%}" if group.top1.sem is None else percent_with_error(group.top1.mean, group.top1.sem)


def whose(run: RunRecord) -> str:
    """Whether a run is yours, else where it was published."""
    return f"published: {run.source.partition(';')[0]}" if run.published else "yours"


def way_rows(name: str, group: Group, seeds: str) -> list[Line]:
    """Rows that say what a group took and reached, and the command that does it again."""
    run = group.runs[0]
    cost, time = cost_and_time(group)
    price = f" (price of {run.price_date})" if group.cost_usd and run.price_date else ""
    what = f"{name_of(run)} on {run.hardware}, {top1_text(group)}, {seeds}, {whose(run)}"
    text = f"{cost}{price}, {time} ({run.clock}): {what}"
    if not run.command:
        return [(name, text)]
    planned = command_line.command_of(["plan", *command_line.words_of(run.command)])
    return [(name, text), ("command", run.command), ("elsewhere", f"{planned}    shows the prices of other hardware")]
