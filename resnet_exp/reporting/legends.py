"""Legends below pictures that are never cut, however many and long their names are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resnet_exp.core.terminal.text import printable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

# More names cannot be told apart, and take more room than the picture.
MAX_NAMES = 12
MAX_CHARACTERS = 48
# Of the figure's width: the rest stays free at both edges.
ROOM = 0.96


def label(text: str, most: int = MAX_CHARACTERS) -> str:
    """Escape a text for Matplotlib: no formula, not hidden by a leading underscore, its middle left out if too long."""
    text = printable(text)
    half = (most - 1) // 2
    text = text if len(text) <= most else f"{text[:half]}…{text[-half:]}"
    return (f" {text}" if text.startswith("_") else text).replace("$", r"\$")


def put_legend(figure: Figure, keys: dict[str, Artist]) -> None:
    """A legend below the panels, in as many columns as fit; the figure grows by its height.

    `keys` has what stands beside each name; the names are escaped already.
    """
    if not keys:
        return
    columns = min(len(keys), MAX_NAMES)
    legend = _legend(figure, keys, columns)
    while columns > 1 and _width(legend) > ROOM:
        legend.remove()
        columns -= 1
        legend = _legend(figure, keys, columns)
    if (width := _width(legend)) > ROOM:
        for text in legend.get_texts():
            text.set_fontsize(text.get_fontproperties().get_size_in_points() * ROOM / width)
    box = legend.get_window_extent()
    figure.set_figheight(figure.get_figheight() + box.height / figure.dpi)


def _legend(figure: Figure, keys: dict[str, Artist], columns: int) -> Legend:
    return figure.legend(list(keys.values()), list(keys), loc="outside lower center", ncols=columns)


def _width(legend: Legend) -> float:
    """Share of the figure's width."""
    figure = legend.get_figure(root=True)
    assert figure is not None
    return legend.get_window_extent().width / figure.bbox.width
