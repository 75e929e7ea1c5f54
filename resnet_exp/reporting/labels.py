"""Names beside points of a picture, where there is room for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

SIZE_POINTS = 6.5
# Half the side of a mark, and the gap between mark and name, in pixels at 100 dpi.
HALF_MARK, GAP = 4, 6
# Candidate positions of a name, as shifts by its width and height, and by gaps: right, left, above, below, diagonal.
PLACES = (
    (0.0, -0.5, 1, 0), (-1.0, -0.5, -1, 0), (-0.5, 0.0, 0, 1), (-0.5, -1.0, 0, -1),
    (0.0, 0.0, 0.7, 0.7), (-1.0, 0.0, -0.7, 0.7), (0.0, -1.0, 0.7, -0.7), (-1.0, -1.0, -0.7, -0.7),
)  # fmt: skip


@dataclass(frozen=True)
class Spot:
    """A mark in the units of its panel, and its name; empty for no name."""

    x: float
    y: float
    name: str = ""


def write_names(panel: Axes, spots: Sequence[Spot], color: str) -> None:
    """Write the names of spots in order, each where it covers neither a mark nor another name.

    A name for which there is no such place is left out. The figure must have been laid out.
    """
    from matplotlib.transforms import Bbox

    figure = panel.get_figure()
    assert figure is not None
    pixels = panel.transData.transform([(spot.x, spot.y) for spot in spots])
    taken = [Bbox.from_bounds(x - HALF_MARK, y - HALF_MARK, 2 * HALF_MARK, 2 * HALF_MARK) for x, y in pixels]
    room = panel.get_window_extent()
    for spot, (x, y) in zip(spots, pixels, strict=True):
        if not spot.name:
            continue
        text = panel.text(0, 0, spot.name, size=SIZE_POINTS, color=color, zorder=4)
        extent = text.get_window_extent()
        for box, corner in _places(float(x), float(y), extent):
            inside = room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0 and box.y1 <= room.y1
            if inside and not box.count_overlaps(taken):
                x0, y0 = panel.transData.inverted().transform(corner)
                text.set_position((float(x0), float(y0)))
                taken.append(box)
                break
        else:
            text.remove()


def _places(x: float, y: float, extent: Bbox) -> list[tuple[Bbox, tuple[float, float]]]:
    """Candidate boxes of a name of this size, and the corner at which it is anchored."""
    from matplotlib.transforms import Bbox

    found = []
    for across, up, right, above in PLACES:
        left = x + across * extent.width + right * GAP
        bottom = y + up * extent.height + above * GAP
        found.append((Bbox.from_bounds(left, bottom, extent.width, extent.height), (left, bottom)))
    return found
