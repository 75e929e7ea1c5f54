"""Draw docs/architecture.svg from the import contracts in pyproject.toml: ``python scripts/draw_architecture.py``.

With ``--check`` nothing is written; the exit code is 1 if the picture does not show the contracts of today.
"""

from __future__ import annotations

import ast
import io
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

ROOT = Path(__file__).resolve().parents[1]
PACKAGE, PICTURE = ROOT / "resnet_exp", ROOT / "docs" / "architecture.svg"
# In the units of the picture, hundredths of an inch.
WIDTH, ROW, GAP, MARGIN = 1200.0, 88.0, 12.0, 18.0
COLORS = {"command": "#FFFFFF", "free": "#D6E6F4", "torch": "#F9D9C4"}
LINES = {"command": "#777777", "free": "#0072B2", "torch": "#D55E00"}
# Texts stay text: they can be searched, and the file does not depend on fonts.
STYLE: Any = {"svg.hashsalt": "resnet_exp", "svg.fonttype": "none", "font.family": "sans-serif"}
# A box that is wider has room for a sentence, of characters that are so wide.
ROOMY, CHARACTER = 200, 6.2


@dataclass(frozen=True)
class Box:
    """A module or package in its layer; `kind` says its color: ``command``, ``free`` of torch, or ``torch``."""

    name: str
    kind: str
    files: int
    about: str


def contracts() -> list[dict[str, Any]]:
    """The import contracts, as import-linter checks them."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["tool"]["importlinter"]["contracts"]


def layers(container: str) -> list[list[str]]:
    """Names of the modules of each layer of a package, from the top."""
    found = next(each for each in contracts() if each["type"] == "layers" and each["containers"] == [container])
    return [[name.strip() for name in line.split("|")] for line in found["layers"]]


def torch_free() -> set[str]:
    """Modules that must not import torch, without the package's name."""
    found = next(each for each in contracts() if "torch" in each.get("forbidden_modules", ()))
    return {name.removeprefix("resnet_exp.") for name in found["source_modules"]}


def box(name: str) -> Box:
    """What is drawn of a module or package."""
    folder = PACKAGE.joinpath(*name.split("."))
    if folder.is_dir():
        files = [path for path in folder.rglob("*.py") if path.name != "__init__.py"]
        kind = "free" if name in torch_free() else "torch"
        return Box(name, kind, len(files), _about(folder / "__init__.py"))
    command = "." not in name and name != "cli"
    kind = "command" if command else "free" if name in torch_free() else "torch"
    return Box(name, kind, 1, "" if command else _about(folder.with_suffix(".py")))


def _about(path: Path) -> str:
    text = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
    return text.partition(". ")[0].partition(";")[0].rstrip(".").replace("``", "").replace("`", "")


def draw() -> Figure:
    """The layers of the package, and on the right those inside of ``data``."""
    outer = [[box(name) for name in names] for names in layers("resnet_exp")]
    inner = [[box(f"data.{name}") for name in names] for names in layers("resnet_exp.data")]
    height = ROW * len(outer) + 70
    figure = Figure(figsize=(WIDTH / 100 + 4.4, height / 100))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH + 440), ylim=(height, 0))
    axes.set_axis_off()
    _draw_layers(
        axes, outer, MARGIN, WIDTH - 2 * MARGIN, "imports point downward; boxes in a row do not know each other"
    )
    _draw_layers(axes, inner, WIDTH + 30, 390, "inside data")
    _draw_key(axes, WIDTH + 30, 40 + ROW * (len(inner) + 1))
    return figure


def _draw_layers(axes: Axes, rows: list[list[Box]], left: float, width: float, title: str) -> None:
    axes.text(left, 24, title, size=10, color="#444444", va="center")
    for number, row in enumerate(rows):
        each = (width - GAP * (len(row) - 1)) / len(row)
        for position, one in enumerate(row):
            _draw_box(axes, one, left + position * (each + GAP), 40 + number * ROW, each)


def _draw_box(axes: Axes, one: Box, x: float, y: float, width: float) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x, y), width, ROW - 20, boxstyle="round,pad=0,rounding_size=6",
            facecolor=COLORS[one.kind], edgecolor=LINES[one.kind], linewidth=1.2,
        )
    )  # fmt: skip
    name, roomy = one.name.rpartition(".")[2], width > ROOMY
    middle = x + width / 2
    if not roomy or not one.about:
        axes.text(middle, y + 34, name, size=11 if roomy else 9, weight="bold", ha="center", va="center")
        return
    count = f"  ({one.files} files)" if one.files > 1 else ""
    axes.text(middle, y + 20, name + count, size=11, weight="bold", ha="center", va="center")
    for number, line in enumerate(textwrap.wrap(one.about, int(width / CHARACTER))):
        axes.text(middle, y + 38 + 15 * number, line, size=8.5, ha="center", va="center", color="#333333")


def _draw_key(axes: Axes, x: float, y: float) -> None:
    words = {
        "command": "a command: arguments, one call, an exit code",
        "free": "never imports torch, Composer, FFCV or numba",
        "torch": "may import torch: only ranks and data loaders do",
    }
    for number, (kind, text) in enumerate(words.items()):
        top = y + 30 * number
        axes.add_patch(
            FancyBboxPatch(
                (x, top), 26, 16, boxstyle="round,pad=0,rounding_size=4",
                facecolor=COLORS[kind], edgecolor=LINES[kind], linewidth=1.2,
            )
        )  # fmt: skip
        axes.text(x + 38, top + 8, text, size=9.5, va="center")


def main() -> int:
    """Write the picture, or check it; returns the exit code."""
    drawn = io.StringIO()
    with rc_context(STYLE):
        draw().savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    if "--check" not in sys.argv[1:]:
        PICTURE.write_text(drawn.getvalue())
        return 0
    if PICTURE.exists() and PICTURE.read_text() == drawn.getvalue():
        return 0
    sys.stderr.write("docs/architecture.svg shows older contracts; run: python scripts/draw_architecture.py\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
