"""The plots of a report: top-1 against training time and cost, and top-1 while training."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from resnet_exp.core.terminal.text import time_unit
from resnet_exp.reporting.labels import Spot, write_names
from resnet_exp.reporting.legends import label, put_legend
from resnet_exp.results import collect, frontier
from resnet_exp.results.frontier import Axis, Group
from resnet_exp.results.record import RunRecord

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

# The color-blind-safe palette of Okabe and Ito (2008), without yellow, which is hard to see on white.
COLORS = {"baseline": "#000000", "mild": "#0072B2", "medium": "#E69F00", "hot": "#D55E00"}
MORE_COLORS = ("#009E73", "#7B1F70", "#56B4E9")
OTHER, OTHER_COLOR = "other recipes", "#8C6D31"
GRAY = "#999999"
MARKERS = "os^DvPX*"
# Protocols beyond those share the last marker.
OTHER_PROTOCOLS = "evaluated otherwise"
# Above this number, marks are rasterized in SVGs too: thousands of shapes render slowly.
MAX_SHAPES = 500
# More curves are unreadable.
MAX_CURVES = 200
# Values that differ by more than this factor get a logarithmic axis.
LINEAR_SPAN = 10
# Points per segment of a front: a straight segment is curved on a logarithmic axis.
STEPS = 16
AXES: tuple[Axis, ...] = ("train_seconds", "cost_usd")
FAINT, LINE = "#666666", "#555555"
STYLE: Any = {"font.size": 9, "axes.axisbelow": True, "legend.frameon": False}
Keys = dict[str, "Artist"]
# Characters of names in the picture.
MAX_NAME = 40
Member = TypeVar("Member")


@dataclass(frozen=True)
class Look:
    """Colors of recipes and markers of protocols, the same in all panels."""

    colors: dict[str, str]
    markers: dict[str, str]

    def color(self, run: RunRecord) -> str:
        """Color of a run's mark."""
        return GRAY if run.published else self.colors.get(run.recipe, OTHER_COLOR)


def choose_look(runs: Iterable[RunRecord]) -> Look:
    """Fixed colors for our recipes, then colors for the most frequent others; markers for all protocols."""
    runs = list(runs)
    recipes = [run.recipe for run in runs if not run.published]
    more = sorted(set(recipes) - set(COLORS), key=lambda recipe: (-recipes.count(recipe), recipe))
    # Our own runs' protocols come first and get the circle.
    ordered = sorted({(run.published, run.protocol) for run in runs})
    protocols = dict.fromkeys(protocol for _, protocol in ordered)
    return Look(
        colors=COLORS | dict(zip(more, MORE_COLORS, strict=False)),
        markers={protocol: MARKERS[min(number, len(MARKERS) - 1)] for number, protocol in enumerate(protocols)},
    )


def draw_frontier(groups: Sequence[Group]) -> Figure:
    """Top-1 against training time and against cost, one row per dataset, with the fronts of our own runs."""
    from matplotlib import rc_context

    look = choose_look(group.runs[0] for group in groups)
    rows = _by_dataset(groups, lambda group: group.runs[0])
    with rc_context(STYLE):
        costs = {name: any(group.cost_usd for group in members) for name, members in rows.items()}
        figure, grid = _figure({name: 1 + has for name, has in costs.items()})
        panels: list[tuple[Axes, Axis, list[Group]]] = []
        for members, row in zip(rows.values(), grid, strict=True):
            panels.extend(zip(row, AXES, itertools.repeat(members)))  # a single panel shows times
        for panel, axis, members in panels:
            _draw_groups(panel, members, axis, look)
        for row in grid:
            if len(row) == 1:
                row[0].set_title("no costs: no run recorded a price", loc="right", size="small", color=FAINT)
        put_legend(figure, _frontier_keys(groups, look))
        figure.draw_without_rendering()
        # Names go where there is room, so the layout must not change from here on.
        figure.set_layout_engine("none")
        for panel, axis, members in panels:
            write_names(panel, _spots(members, axis), FAINT)
    return figure


def draw_curves(runs: Sequence[RunRecord]) -> Figure:
    """Top-1 against training time, one row per dataset, one line per run, `MAX_CURVES` at most."""
    from matplotlib import rc_context
    from matplotlib.collections import LineCollection

    look = choose_look(runs)
    drawable = [run for run in runs if run.curve]
    shown = collect.in_turns(drawable)[:MAX_CURVES]
    rows = _by_dataset(shown, lambda run: run)
    with rc_context(STYLE):
        figure, grid = _figure(dict.fromkeys(rows, 1))
        for members, (panel,) in zip(rows.values(), grid, strict=True):
            unit, divisor = time_unit(max(run.curve[-1][0] for run in members))
            lines = [[(seconds / divisor, 100 * top1) for seconds, top1 in run.curve] for run in members]
            colors = [look.color(run) for run in members]
            panel.add_collection(LineCollection(lines, colors=colors, linewidths=1, alpha=0.7))
            ends = [line[-1] for line in lines]
            panel.scatter(*zip(*ends, strict=True), c=colors, s=9, zorder=3)
            panel.autoscale_view()
            panel.set(xlabel=f"training time ({unit}, evaluation left out)", ylabel="top-1 (%)", xlim=(0, None))
        if len(shown) < len(drawable):
            figure.suptitle(f"{len(shown)} of {len(drawable):,} runs, some of each configuration", size="small")
        if not shown:
            figure.suptitle("no run has evaluations to show")
        put_legend(figure, _recipe_keys(shown, look))
    return figure


def _by_dataset(members: Iterable[Member], run_of: Callable[[Member], RunRecord]) -> dict[str, list[Member]]:
    found: dict[str, list[Member]] = {}
    for member in members:
        found.setdefault(run_of(member).dataset, []).append(member)
    return found


def _figure(columns: dict[str, int]) -> tuple[Figure, list[list[Axes]]]:
    """One row of panels per title; a single panel is as wide as the others together."""
    from matplotlib.figure import Figure

    most = max(columns.values(), default=1)
    figure = Figure(figsize=(11 if most > 1 else 8, 3.4 * max(1, len(columns)) + 1), layout="constrained")
    places = figure.add_gridspec(max(1, len(columns)), most)
    grid: list[list[Axes]] = []
    for number, (title, count) in enumerate(columns.items()):
        lone = slice(None) if count == 1 else 0
        row = [figure.add_subplot(places[number, column]) for column in [lone, *range(1, count)]]
        for panel in row:
            panel.grid(alpha=0.3)
        row[0].set_title(label(title, MAX_NAME), loc="left", weight="bold")
        grid.append(row)
    return figure, grid


def _draw_groups(panel: Axes, groups: Sequence[Group], axis: Axis, look: Look) -> None:
    placed = [group for group in groups if frontier.point_of(group, axis).counts]
    panel.set_ylabel("top-1 (%)")
    if not placed:
        panel.text(0.5, 0.5, "no run has a time", transform=panel.transAxes, ha="center", color=FAINT)
        panel.set(xticks=[], yticks=[])
        return
    costs = [frontier.point_of(group, axis).cost for group in placed]
    name, divisor = _unit(axis, max(costs))
    panel.set_xlabel(name)
    if max(costs) / min(costs) > LINEAR_SPAN:
        _make_logarithmic(panel, max(costs) / min(costs))
    for front in frontier.fronts([group for group in placed if not group.runs[0].published], axis).values():
        xs, ys = _front_line(front, axis)
        panel.plot([x / divisor for x in xs], [100 * y for y in ys], color=LINE, linewidth=0.9, zorder=1.5)
    kinds: dict[tuple[bool, str, str, bool], list[Group]] = {}
    for group in placed:
        run = group.runs[0]
        kinds.setdefault((not run.published, look.color(run), look.markers[run.protocol], group.n == 1), []).append(
            group
        )
    # Draw published runs below the others.
    for (own, color, marker, hollow), members in sorted(kinds.items()):
        _draw_marks(panel, members, axis, divisor, color, marker, hollow, 3 if own else 2, len(placed) > MAX_SHAPES)


def _draw_marks(
    panel: Axes,
    groups: Sequence[Group],
    axis: Axis,
    divisor: float,
    color: str,
    marker: str,
    hollow: bool,
    zorder: float,
    rasterized: bool,
) -> None:
    """Draw marks of one color and shape, with standard errors."""
    costs = [group.train_seconds if axis == "train_seconds" else group.cost_usd for group in groups]
    panel.errorbar(
        [cost.mean / divisor for cost in costs if cost],
        [100 * group.top1.mean for group in groups],
        xerr=None if hollow else [(cost.sem or 0) / divisor for cost in costs if cost],
        yerr=None if hollow else [100 * (group.top1.sem or 0) for group in groups],
        linestyle="none", color=color, marker=marker, markersize=5, elinewidth=0.9, capsize=2,
        markerfacecolor="white" if hollow else color, zorder=zorder, rasterized=rasterized,
    )  # fmt: skip


def _unit(axis: Axis, largest: float) -> tuple[str, float]:
    """Label of an axis, and what its values are divided by."""
    if axis == "cost_usd":
        return "cost of training ($)", 1
    unit, seconds = time_unit(largest)
    return f"training time ({unit})", seconds


def _make_logarithmic(panel: Axes, span: float) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 1e3 else (1,)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    panel.xaxis.set_minor_locator(NullLocator())


def _front_line(front: Sequence[Group], axis: Axis) -> tuple[list[float], list[float]]:
    """Costs and top-1 along a front, interpolated between its points as in `frontier.cost_at`."""
    points = [frontier.point_of(group, axis) for group in front]
    shares = [step / STEPS for step in range(STEPS)]
    xs = [low.cost + share * (high.cost - low.cost) for low, high in itertools.pairwise(points) for share in shares]
    ys = [low.top1 + share * (high.top1 - low.top1) for low, high in itertools.pairwise(points) for share in shares]
    return [*xs, points[-1].cost], [*ys, points[-1].top1]


def _spots(groups: Sequence[Group], axis: Axis) -> list[Spot]:
    """Positions of the marks of a panel; the best one of each published recipe on its front gets a name."""
    placed = [group for group in groups if frontier.point_of(group, axis).counts]
    fronts = frontier.fronts([group for group in placed if group.runs[0].published], axis)
    named = {group.runs[0].recipe: group for front in fronts.values() for group in front}
    divisor = _unit(axis, max((frontier.point_of(group, axis).cost for group in placed), default=1))[1]
    spots = []
    for group in placed:
        name = group.key if named.get(group.runs[0].recipe) is group else ""
        spots.append(Spot(frontier.point_of(group, axis).cost / divisor, 100 * group.top1.mean, label(name, MAX_NAME)))
    return spots


def _mark(color: str, marker: str = "o", filled: bool = True) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, marker=marker, linestyle="none", markerfacecolor=color if filled else "white")


def _recipe_keys(runs: Sequence[RunRecord], look: Look) -> Keys:
    found = {run.recipe for run in runs if not run.published}
    keys: Keys = {label(recipe, MAX_NAME): _mark(color) for recipe, color in look.colors.items() if recipe in found}
    return keys | ({OTHER: _mark(OTHER_COLOR)} if found - set(look.colors) else {})


def _frontier_keys(groups: Sequence[Group], look: Look) -> Keys:
    from matplotlib.lines import Line2D

    runs = [group.runs[0] for group in groups]
    keys = _recipe_keys(runs, look)
    if not all(run.published for run in runs):
        keys["Pareto front of own runs"] = Line2D([], [], color=LINE, linewidth=0.9)
    if any(run.published for run in runs):
        keys["published (clocks differ)"] = _mark(GRAY)
    if any(group.n == 1 for group in groups):
        keys["one seed"] = _mark(LINE, filled=False)
    if len(look.markers) > 1:
        keys |= {_protocol_text(name, look): _mark(LINE, marker) for name, marker in look.markers.items()}
    return keys


def _protocol_text(protocol: str, look: Look) -> str:
    shared = list(look.markers.values()).count(look.markers[protocol]) > 1
    return OTHER_PROTOCOLS if shared else f"evaluated at {label(protocol, MAX_NAME)}"
