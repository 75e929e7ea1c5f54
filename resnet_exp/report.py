"""``resnet_exp report RUNS... -o DIR``: accuracy, time and cost of finished runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, RequestError
from resnet_exp.core.paths import user_path
from resnet_exp.core.terminal import console, help_text, program
from resnet_exp.core.terminal.text import fraction
from resnet_exp.reporting import markdown
from resnet_exp.reporting.markdown import Wanted
from resnet_exp.reporting.write import Content, write
from resnet_exp.results import collect, published_runs
from resnet_exp.results.collect import Collected
from resnet_exp.runs.folder import where_runs_are
from resnet_exp.tracking import wandb_runs

EPILOG = """\
RUNS are run folders, or folders of them; running and failed runs are counted and listed. Written atomically into DIR:
runs.csv and runs.parquet (finished runs), unfinished.csv (the others, and why), frontier.md,
frontier.svg and .png (top-1 against time and cost), curves.svg (top-1 while training), explorer.html (all of it to
explore, in any browser, without network).

exit code: 0 written, 2 the request is wrong"""
# Reasons why runs are missing, on the terminal.
MAX_REASONS = 6


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        content = _collect(options)
        names = write(content, options.output)
    except RequestError as error:
        console.complain(str(error))
        return EXIT_BAD_REQUEST
    console.say(f"wrote {', '.join(names)} in {options.output}")
    console.say(f"{markdown.summary(content.collected)}; {len(content.published)} published")
    for line in markdown.reasons(content.collected, MAX_REASONS):
        console.say(f"not shown: {line}")
    for line in _notes(content, options.runs):
        console.say(f"note: {line}")
    return EXIT_DONE


def parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = help_text.parser("report", __doc__, EPILOG)
    parser.add_argument(
        "runs", nargs="*", type=user_path, metavar="RUNS", help="run folders, folders of them, or wandb folders"
    )
    parser.add_argument(
        "-o", "--output", type=user_path, required=True, metavar="DIR", help="where to write; created if needed"
    )
    parser.add_argument(
        "--wandb", metavar="ENTITY/PROJECT", help="also include finished runs of a Weights & Biases project"
    )
    parser.add_argument(
        "--published",
        action=argparse.BooleanOptionalAction,
        help="show the published runs of ImageNet (default: where a run of ImageNet or no RUNS is given)",
    )
    parser.add_argument(
        "--baseline", default="baseline", metavar="RECIPE", help="baseline of speed-ups (default: baseline)"
    )
    parser.add_argument("--target", metavar="TOP1", help="show what reaches this top-1 first, such as 0.766")
    return parser


def _collect(options: argparse.Namespace) -> Content:
    target = None if options.target is None else fraction(options.target)
    if options.target is not None and target is None:
        raise RequestError(f"--target {options.target} is not a fraction; use --target 0.766 for 76.6 %")
    if options.output.exists() and not options.output.is_dir():
        raise RequestError(f"-o {options.output} is a file; give a folder")
    try:
        collected = _collect_runs(options.runs, options.wandb)
    except OSError as error:
        raise RequestError(f"{error.filename} cannot be read ({error.strerror}); give a folder that can") from error
    published = published_runs.published() if _wants_published(options, collected) else []
    if not collected.counts() and not published:
        ask = "--published shows published runs of ImageNet"
        nearby = next(filter(None, map(where_runs_are, options.runs)), ask)
        raise RequestError(f"{markdown.summary(collected)}: nothing to report; {nearby}")
    return Content(collected, published, Wanted(options.baseline, target))


def _wants_published(options: argparse.Namespace, collected: Collected) -> bool:
    """Published runs are of ImageNet: they say nothing of other datasets."""
    if options.published is not None:
        return options.published
    return not (options.runs or options.wandb) or any(run.dataset == published_runs.DATASET for run in collected.runs)


def _collect_runs(folders: list[Path], project: str | None) -> Collected:
    others, unreadable = ([], []) if project is None else wandb_runs.read_project(project)
    collected = collect.collect_runs([wandb_runs.run_folder_of(folder) for folder in folders], others)
    collected.unreadable.extend(unreadable)
    return collected


def _notes(content: Content, folders: list[Path]) -> list[str]:
    runs, baseline = content.collected.runs, content.wanted.baseline
    if not runs:
        only = "no finished runs: this shows only published ones" if content.published else "no finished runs yet"
        nearby = [] if content.collected.counts() else filter(None, map(where_runs_are, folders))
        return [only, *nearby]
    if all(run.recipe != baseline for run in runs):
        return [f"no finished run has recipe={baseline}: no speed-ups; --baseline RECIPE compares with another"]
    return []


if __name__ == "__main__":
    sys.exit(program.run(main))
