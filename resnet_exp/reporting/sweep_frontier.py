"""The frontier of a sweep for a tracker: the rows of a table, and the report's plot."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence

from resnet_exp.reporting import figures
from resnet_exp.reporting.write import PIXELS_PER_INCH
from resnet_exp.results import frontier
from resnet_exp.results.frontier import Axis, Group

# Fractions, seconds and dollars; ± is the standard error over the seeds.
COLUMNS = (
    "fastest", "cheapest", "recipe", "model", "ssr", "epochs", "dataset", "evaluated", "hardware", "nodes", "n",
    "top1", "top1 ±", "train_seconds", "train_seconds ±", "cost_usd", "cost_usd ±",
)  # fmt: skip
Cell = bool | str | int | float | None


def frontier_rows(groups: Sequence[Group]) -> list[list[Cell]]:
    """One row per configuration, with the columns of `COLUMNS`, the fastest first."""
    fastest, cheapest = _on_fronts(groups, "train_seconds"), _on_fronts(groups, "cost_usd")
    return [
        [id(group) in fastest, id(group) in cheapest, *_facts(group), group.n, *_measured(group)]
        for group in sorted(groups, key=lambda group: frontier.point_of(group, "train_seconds").cost)
    ]


def frontier_png(groups: Sequence[Group]) -> bytes:
    """The report's plot as a PNG; prints nothing, and may run in any thread."""
    # The font lacks some scripts that a name may use. Warning filters are global to the process: they are not restored
    # here, because another thread may be changing them too.
    warnings.filterwarnings("ignore", message="Glyph .* missing")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    file = io.BytesIO()
    figures.draw_frontier(groups).savefig(file, format="png", dpi=PIXELS_PER_INCH)
    return file.getvalue()


def _on_fronts(groups: Sequence[Group], axis: Axis) -> set[int]:
    return {id(group) for front in frontier.fronts(groups, axis).values() for group in front}


def _facts(group: Group) -> list[Cell]:
    run = group.runs[0]
    return [run.recipe, run.model, run.ssr, run.epochs, run.dataset, run.evaluated, run.hardware, run.nodes]


def _measured(group: Group) -> list[Cell]:
    spreads = (group.top1, group.train_seconds, group.cost_usd)
    return [value for spread in spreads for value in ((spread.mean, spread.sem) if spread else (None, None))]
