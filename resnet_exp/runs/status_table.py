"""The runs of a sweep as a table: for a terminal, for a log, for ``resnet_exp status``."""

from __future__ import annotations

import sys
from collections import Counter

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from resnet_exp.core.terminal.text import plural, span
from resnet_exp.runs.states import KINDS, RunState

COLORS = {
    "done": "green", "running": "cyan", "queued": "yellow", "planned": "yellow", "failed": "red", "stopped": "magenta",
    "missing": "red", "unreadable": "red",
}  # fmt: skip
# The most urgent ones come first if there is no room for all.
URGENT = ("failed", "missing", "unreadable", "stopped", "running", "queued", "planned", "done")

# Below a table that is drawn again and again.
MOST_REASONS = 3
# Wider than any terminal.
MOST_COLUMNS = 10_000


def counts(states: list[RunState]) -> str:
    """``8 runs: 3 done, 2 running, 3 queued``."""
    found = Counter(state.kind for state in states)
    parts = ", ".join(f"{found[kind]} {kind}" for kind in KINDS if found[kind])
    return plural(len(states), "run") + (f": {parts}" if parts else "")


def line(state: RunState) -> str:
    """One run in a line of plain text."""
    parts = [state.run_id, state.kind, *_facts(state)]
    return "  ".join(part for part in parts if part)


def _facts(state: RunState) -> list[str]:
    top1 = "" if state.top1 is None else f"top-1 {state.top1:.2%}"
    seconds = "" if state.train_seconds is None else f"trained {span(state.train_seconds)}"
    eta = "" if state.eta_seconds is None else f"ETA {span(state.eta_seconds)}"
    job = f"job {state.job}" if state.job and state.kind in ("queued", "running") else ""
    return [_epochs(state), top1, seconds, eta, job, state.why]


def _epochs(state: RunState) -> str:
    return plural(int(state.epochs), "epoch") if state.epochs.isdigit() else state.epochs


def table(states: list[RunState], rows: int | None = None) -> StatusTable:
    """Table of the runs and a line of counts; with `rows`, only the most urgent ones, in about as many lines."""
    return StatusTable(states, rows)


class StatusTable:
    """What `table` prints: reasons stand beside the runs where the terminal has room for them, and else below."""

    def __init__(self, states: list[RunState], rows: int | None) -> None:
        self.states, self.rows = states, rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, for a terminal as wide as it is now."""
        grid = _grid(self.states, beside=True)
        if Measurement.get(console, options.update(max_width=MOST_COLUMNS), grid).maximum <= options.max_width:
            reasons, shown = [], self._urgent(self.rows)
            yield _grid(shown, beside=True)
        else:
            reasons = _reasons(self.states)[: None if self.rows is None else MOST_REASONS]
            shown = self._urgent(None if self.rows is None else max(1, self.rows - len(reasons)))
            yield _grid(shown, beside=False)
        for reason in reasons:
            # The lines of a table that is drawn again and again are as many as before.
            yield Text(
                reason, style="dim", no_wrap=self.rows is not None, overflow="fold" if self.rows is None else None
            )
        hidden = len(self.states) - len(shown)
        more = f" ({hidden} not shown)" if hidden else ""
        yield Text(counts(self.states) + more, style="bold")

    def _urgent(self, most: int | None) -> list[RunState]:
        if most is None or len(self.states) <= most:
            return self.states
        kept = {state.run_id for state in sorted(self.states, key=lambda state: URGENT.index(state.kind))[:most]}
        return [state for state in self.states if state.run_id in kept]


def _grid(states: list[RunState], beside: bool) -> Table:
    """One row a run. Columns of what changes are as wide as it may become: they stay where they are."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("run", overflow="fold")
    for name, width in (("state", 7), ("epochs", 6), ("top-1", 7), ("time", len("100.0 min left"))):
        grid.add_column(name, justify="left" if name == "state" else "right", no_wrap=True, min_width=width)
    if beside:
        grid.add_column("", no_wrap=True)
    for state in states:
        grid.add_row(*_cells(state), *([Text(_what(state), style="dim")] if beside else []))
    return grid


def _cells(state: RunState) -> list[Text]:
    seconds, left = state.train_seconds, state.eta_seconds
    return [
        Text(state.run_id),
        Text(state.kind, style=COLORS[state.kind]),
        Text(state.epochs.partition(" ")[0]),
        Text("" if state.top1 is None else f"{state.top1:.2%}"),
        Text(f"{span(left)} left" if left is not None else "" if seconds is None else span(seconds)),
    ]


def _what(state: RunState) -> str:
    return state.why or (f"job {state.job}" if state.job and state.kind != "done" else "")


def _reasons(states: list[RunState]) -> list[str]:
    """What the table has no room for: a line for each reason, with the runs that have it, the urgent ones first."""
    found: dict[str, list[str]] = {}
    for state in sorted(states, key=lambda state: URGENT.index(state.kind)):
        if what := _what(state):
            found.setdefault(f"{state.kind}: {what}", []).append(state.run_id)
    return [f"{', '.join(runs[:2])}{', ...' if len(runs) > 2 else ''} {what}" for what, runs in found.items()]


def show(states: list[RunState]) -> None:
    """Print a table on a terminal, plain lines otherwise."""
    console = Console(file=sys.stdout, highlight=False)
    if console.is_terminal:
        console.print(table(states))
    else:
        for state in states:
            sys.stdout.write(line(state) + "\n")
        sys.stdout.write(counts(states) + "\n")
        sys.stdout.flush()
