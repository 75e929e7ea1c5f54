"""The runs of a sweep as a table: for a terminal, for a log, for ``python -m resnet_exp.status``."""

from __future__ import annotations

import sys
from collections import Counter

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from resnet_exp.core.text import plural, span
from resnet_exp.runs.states import KINDS, RunState

COLORS = {
    "done": "green", "running": "cyan", "queued": "yellow", "planned": "yellow", "failed": "red", "stopped": "magenta",
    "missing": "red",
}  # fmt: skip
# The most urgent ones come first if there is no room for all.
URGENT = ("failed", "missing", "stopped", "running", "queued", "planned", "done")


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
    return f"{state.epochs} epochs" if state.epochs.isdigit() else state.epochs


def table(states: list[RunState], rows: int | None = None) -> Group:
    """Table of the runs and a line of counts; with `rows`, only the most urgent ones."""
    shown = states
    if rows is not None and len(states) > rows:
        urgent = sorted(states, key=lambda state: URGENT.index(state.kind))[:rows]
        kept = {state.run_id for state in urgent}
        shown = [state for state in states if state.run_id in kept]
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("run", overflow="fold", no_wrap=False, ratio=None)
    for name in ("state", "epochs", "top-1", "trained", "ETA"):
        grid.add_column(name, justify="left" if name == "state" else "right", no_wrap=True)
    grid.add_column("")
    for state in shown:
        grid.add_row(*_cells(state))
    hidden = len(states) - len(shown)
    more = f" ({hidden} not shown)" if hidden else ""
    return Group(grid, Text(counts(states) + more, style="bold"))


def _cells(state: RunState) -> list[Text]:
    what = state.why or (f"job {state.job}" if state.job and state.kind != "done" else "")
    return [
        Text(state.run_id),
        Text(state.kind, style=COLORS[state.kind]),
        Text(state.epochs.partition(" ")[0]),
        Text("" if state.top1 is None else f"{state.top1:.2%}"),
        Text("" if state.train_seconds is None else span(state.train_seconds)),
        Text("" if state.eta_seconds is None else span(state.eta_seconds)),
        Text(what, style="dim"),
    ]


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
