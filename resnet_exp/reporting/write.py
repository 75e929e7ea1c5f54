"""The files of a report."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_exp.core.files import move_into_place, writing
from resnet_exp.reporting import explorer, markdown, table_files
from resnet_exp.reporting.markdown import Wanted
from resnet_exp.results import collect, frontier, prices
from resnet_exp.results.collect import Collected
from resnet_exp.results.record import RunRecord

PIXELS_PER_INCH = 150
# Fixed ids: the same runs give the same files.
SVG: Any = {"svg.hashsalt": "resnet_exp"}
# Most bytes of configurations in the page; those of 10,000 runs would be 30 MB.
MAX_CONFIG_BYTES = 2_000_000


@dataclass(frozen=True)
class Content:
    """The content of a report."""

    collected: Collected
    published: list[RunRecord]
    wanted: Wanted

    @property
    def runs(self) -> list[RunRecord]:
        return [*self.collected.runs, *self.published]


def write(content: Content, folder: Path) -> list[str]:
    """Write the files of a report into a folder, which is created; returns their names.

    No file is replaced before all of them are written.

    Raises:
        RequestError: the folder cannot be written.
    """
    with writing(f"-o {folder}", "give another folder"):
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".report.", dir=folder))
        try:
            _write_all(content, temporary)
            names = sorted(os.listdir(temporary))
            for name in names:
                move_into_place(temporary / name, folder / name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return names


def _write_all(content: Content, folder: Path) -> None:
    table = table_files.columns(content.runs)
    table_files.write_csv(table, folder / "runs.csv")
    table_files.write_parquet(table, folder / "runs.parquet")
    table_files.write_unfinished(content.collected, folder / "unfinished.csv")
    text = markdown.frontier_table(content.collected, content.published, content.wanted, time.strftime("%Y-%m-%d"))
    (folder / "frontier.md").write_text(text, encoding="utf-8")
    _write_figures(content, folder)
    write_page(content, folder / "explorer.html")


def _write_figures(content: Content, folder: Path) -> None:
    from matplotlib import rc_context

    from resnet_exp.reporting import figures

    with rc_context(SVG), warnings.catch_warnings():
        # The font lacks some scripts that a name may use.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = figures.draw_frontier(frontier.aggregate(content.runs))
        figure.savefig(folder / "frontier.svg", metadata={"Date": None})
        figure.savefig(folder / "frontier.png", dpi=PIXELS_PER_INCH)
        figures.draw_curves(content.collected.runs).savefig(folder / "curves.svg", metadata={"Date": None})


def write_page(content: Content, path: Path) -> None:
    """Write the Explorer page of a report."""
    counts, configs = content.collected.counts(), collect.configs(content.collected.runs, MAX_CONFIG_BYTES)
    explorer.write_page(content.runs, prices.collect_prices(), counts, path, configs)
