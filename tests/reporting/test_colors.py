"""Colors of the Explorer and of the pictures: told apart by all eyes, and seen on their paper."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from resnet_exp.reporting import explorer, figures
from support.color_vision import VISION, contrast, difference

SERIES = ("ink", "mild", "medium", "hot", "more-1", "more-2", "more-3", "other")


def palette(scheme: str) -> dict[str, str]:
    """The variables of the page's style; the dark ones come second."""
    style = (explorer.PAGE / "style.css").read_text()
    return dict(re.findall(r"--([\w-]+): (#\w{6});", style.split("prefers-color-scheme: dark")[scheme == "dark"]))


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_series_of_the_page(scheme: str, vision: str) -> None:
    colors = palette(scheme)
    assert all(contrast(colors[name], colors["panel"]) >= 3 for name in SERIES)
    near = {
        (one, other): difference(colors[one], colors[other], vision)
        for one, other in combinations(SERIES, 2)
        if difference(colors[one], colors[other], vision) < 12
    }
    assert near == {}


@pytest.mark.parametrize("vision", VISION)
def test_recipes_of_the_pictures(vision: str) -> None:
    colors = [*figures.COLORS.values(), *figures.MORE_COLORS, figures.OTHER_COLOR]
    assert min(difference(one, other, vision) for one, other in combinations(colors, 2)) > 12


def test_the_measure_finds_what_is_one_color_for_some() -> None:
    """The medium and hot of before."""
    assert difference("#b97a00", "#d55e00", "normal") > 20 > 2 > difference("#b97a00", "#d55e00", "deuteranopia")
