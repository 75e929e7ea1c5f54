"""``python -m resnet_exp.report RUNS... -o DIR``: what was learned, in what time, for how much. No torch, no Hydra."""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import sys
import tempfile
import threading
import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from resnet_exp.core import console
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, RequestError
from resnet_exp.reporting import aside, explorer, markdown, table_files
from resnet_exp.reporting.markdown import Wanted
from resnet_exp.results import collect, frontier, prices, published_runs
from resnet_exp.results.collect import Collected
from resnet_exp.results.record import Run
from resnet_exp.tracking import offline_files

EPILOG = """\
RUNS are run folders, or folders of them; what is still running or failed is counted and named. Written into DIR, each
file whole or not at all: runs.csv and runs.parquet (finished runs), unfinished.csv (the others, and why), frontier.md,
frontier.svg and .png (top-1 against time and cost), curves.svg (top-1 while training), explorer.html (all of it to
explore, in any browser, without network).

exit code: 0 written, 2 the request is wrong"""
PIXELS_PER_INCH = 150
# The same runs give the same files.
SVG: Any = {"svg.hashsalt": "resnet_exp"}
# Configurations that the page carries along; those of 10,000 runs would be 30 MB.
MAX_CONFIG_BYTES = 2_000_000
# From so many runs on the page is written beside the rest, which takes as long.
ASIDE_RUNS = 1000
# Reasons why runs are missing, on the terminal.
MAX_REASONS = 6


@dataclass(frozen=True)
class Content:
    """What a report is made of."""

    collected: Collected
    published: list[Run]
    wanted: Wanted

    @property
    def runs(self) -> list[Run]:
        return [*self.collected.runs, *self.published]


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    # A short life: thousands of runs are read once, and none of them is garbage before the end.
    gc.disable()
    options = _parser().parse_args(arguments)
    try:
        content = _collect(options)
        names = write(content, options.output)
    except RequestError as error:
        console.complain(str(error))
        return EXIT_BAD_REQUEST
    finally:
        gc.enable()
    console.say(f"wrote {', '.join(names)} in {options.output}")
    console.say(f"{markdown.summary(content.collected)}; {len(content.published)} published")
    for line in markdown.reasons(content.collected, MAX_REASONS):
        console.say(f"not shown: {line}")
    for line in _notes(content):
        console.say(f"note: {line}")
    return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m resnet_exp.report", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "runs", nargs="*", type=Path, metavar="RUNS", help="run folders, folders of them, or wandb folders"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="where to write; made if needed"
    )
    parser.add_argument("--wandb", metavar="ENTITY/PROJECT", help="finished runs of a Weights & Biases project too")
    parser.add_argument("--no-published", action="store_true", help="leave out what others published")
    parser.add_argument("--baseline", default="baseline", metavar="RECIPE", help="compare with it (default: baseline)")
    parser.add_argument("--target", type=float, metavar="TOP1", help="who reaches this top-1 first, such as 0.766")
    return parser


def _collect(options: argparse.Namespace) -> Content:
    target = options.target
    if target is not None and not 0 < target < 1:
        raise RequestError(f"--target {target:g} is no fraction; use --target 0.766 for 76.6 %")
    if options.output.exists() and not options.output.is_dir():
        raise RequestError(f"-o {options.output} is a file; give a folder")
    try:
        collected = _collect_runs(options.runs, options.wandb)
    except OSError as error:
        raise RequestError(f"{error.filename} cannot be read ({error.strerror}); give a folder that can") from error
    published = [] if options.no_published else published_runs.published()
    if not collected.runs and not published:
        raise RequestError(f"{markdown.summary(collected)}: nothing to report; leave out --no-published")
    return Content(collected, published, Wanted(options.baseline, target))


def _collect_runs(folders: list[Path], project: str | None) -> Collected:
    offline = [folder for folder in folders if offline_files.find(folder)]
    if project is None and not offline:
        return collect.collect_runs(folders)
    from resnet_exp.tracking import wandb_runs

    found = [wandb_runs.read_files(folder) for folder in offline]
    found += [] if project is None else [wandb_runs.read(project)]
    others = [run for runs, _ in found for run in runs]
    collected = collect.collect_runs([folder for folder in folders if folder not in offline], others)
    collected.unreadable.extend(entry for _, unreadable in found for entry in unreadable)
    return collected


def write(content: Content, folder: Path) -> list[str]:
    """Write the files of a report into a folder, which is made; returns their names.

    None of them is replaced before all of them are there.

    Raises:
        RequestError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".report.", dir=folder))
        try:
            _write_all(content, temporary)
            names = sorted(os.listdir(temporary))
            for name in names:
                (temporary / name).replace(folder / name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise RequestError(f"-o {folder} cannot be written ({error.strerror or error}); give another folder") from error
    return names


def _write_all(content: Content, folder: Path) -> None:
    page = partial(_write_page, content, folder / "explorer.html")
    # A copy of a process lacks its threads, and what they were about to do: W&B's client has some.
    if len(content.runs) < ASIDE_RUNS or threading.active_count() > 1:
        page()
        _write_tables(content, folder)
        return
    finish = aside.start(page)
    try:
        _write_tables(content, folder)
    finally:
        finish()


def _write_tables(content: Content, folder: Path) -> None:
    table = table_files.columns(content.runs)
    table_files.write_csv(table, folder / "runs.csv")
    table_files.write_parquet(table, folder / "runs.parquet")
    table_files.write_unfinished(content.collected, folder / "unfinished.csv")
    text = markdown.frontier_table(content.collected, content.published, content.wanted, time.strftime("%Y-%m-%d"))
    (folder / "frontier.md").write_text(text, encoding="utf-8")
    _write_figures(content, folder)


def _write_figures(content: Content, folder: Path) -> None:
    from matplotlib import rc_context

    from resnet_exp.reporting import figures

    with rc_context(SVG), warnings.catch_warnings():
        # A name may be in any script; the font has not all of them.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = figures.draw_frontier(frontier.aggregate(content.runs))
        figure.savefig(folder / "frontier.svg", metadata={"Date": None})
        figure.savefig(folder / "frontier.png", dpi=PIXELS_PER_INCH)
        figures.draw_curves(content.collected.runs).savefig(folder / "curves.svg", metadata={"Date": None})


def _write_page(content: Content, path: Path) -> None:
    counts, configs = content.collected.counts(), collect.configs(content.collected.runs, MAX_CONFIG_BYTES)
    explorer.write_page(content.runs, prices.collect_prices(), counts, path, configs)


def _notes(content: Content) -> list[str]:
    runs, baseline = content.collected.runs, content.wanted.baseline
    if not runs:
        return ["no finished runs: this shows what others published"]
    if all(run.recipe != baseline for run in runs):
        return [f"no finished run has recipe={baseline}: no speed-ups; --baseline RECIPE compares with another"]
    return []


if __name__ == "__main__":
    sys.exit(main())
