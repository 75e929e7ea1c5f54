"""``python -m resnet_exp.tracking.sweep_frontier RUNS SWEEP SETTINGS``: started by the frontier tracker. No torch.

For each line on standard input it logs the frontier of the sweep as it is then to one W&B run, whose id is made from
the sweep's name: the same command again goes on with it.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from resnet_exp.core import console
from resnet_exp.core.errors import EXIT_DONE
from resnet_exp.loggers import metric_names
from resnet_exp.loggers.wandb_background import BackgroundRun
from resnet_exp.reporting import figures
from resnet_exp.reporting.write import PIXELS_PER_INCH
from resnet_exp.results import collect, frontier
from resnet_exp.results.frontier import Axis, Group
from resnet_exp.results.record import RunRecord
from resnet_exp.runs import sweep_manifest
from resnet_exp.sweep.launchers.frontier_tracker import folder_of

# Fractions, seconds and dollars; ± is the standard error over the seeds.
COLUMNS = (
    "fastest", "cheapest", "recipe", "model", "ssr", "epochs", "dataset", "evaluated", "hardware", "nodes", "n",
    "top1", "top1 ±", "train_seconds", "train_seconds ±", "cost_usd", "cost_usd ±",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    runs_dir, name, settings = sys.argv[1:] if arguments is None else arguments
    _keep_client_out()
    run, logged, step = None, 0, 0
    for _ in sys.stdin:
        runs = finished(Path(runs_dir), name)
        if len(runs) != logged:
            logged = len(runs)
            run = run or open_run(Path(runs_dir), name, json.loads(settings))
            groups = frontier.aggregate(runs)
            # Others may have logged to the same run before. W&B leaves out what has the step of what was logged before
            # it, such as of the same second.
            step = max(step + 1, int(time.time()))
            run.do(partial(_log, rows(groups), picture(groups), len(runs), step))
    if run is not None:
        run.finish()
    return EXIT_DONE


def _keep_client_out() -> None:
    """Leave standard output to what the user should know: what W&B's client prints goes to standard error, the log."""
    os.environ[console.CONSOLE_FD] = str(os.dup(sys.stdout.fileno()))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def finished(runs_dir: Path, name: str) -> list[RunRecord]:
    """Runs of a sweep that have ended with a result that can be used.

    Raises:
        RequestError: the manifest of the sweep cannot be read.
    """
    record = sweep_manifest.read_manifest(runs_dir, name) or {"runs": []}
    folders = [runs_dir / row["run_id"] for row in record["runs"]]
    return collect.collect_runs([folder for folder in folders if collect.is_run(folder)]).runs


def open_run(runs_dir: Path, name: str, settings: dict[str, Any]) -> BackgroundRun:
    """The W&B run of a sweep, begun or gone on with; `settings` as in ``conf/loggers/wandb.yaml``."""
    return BackgroundRun(
        folder_of(runs_dir, name),
        console.say,
        id=f"{metric_names.SWEEP_JOB}-{name}",
        name=name,
        group=name,
        job_type=metric_names.SWEEP_JOB,
        **settings,
    )


def rows(groups: Sequence[Group]) -> list[list[Any]]:
    """A row for each configuration, as `COLUMNS` has it, the fastest ones first."""
    fastest, cheapest = _on_fronts(groups, "train_seconds"), _on_fronts(groups, "cost_usd")
    return [
        [id(group) in fastest, id(group) in cheapest, *_facts(group), group.n, *_measured(group)]
        for group in sorted(groups, key=lambda group: frontier.point_of(group, "train_seconds").cost)
    ]


def picture(groups: Sequence[Group]) -> bytes:
    """The picture of the report, as a PNG."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        # A name may be in any script; the font has not all of them.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figures.draw_frontier(groups).savefig(file, format="png", dpi=PIXELS_PER_INCH)
    return file.getvalue()


def _on_fronts(groups: Sequence[Group], axis: Axis) -> set[int]:
    return {id(group) for front in frontier.fronts(groups, axis).values() for group in front}


def _facts(group: Group) -> list[Any]:
    run = group.runs[0]
    return [run.recipe, run.model, run.ssr, run.epochs, run.dataset, run.evaluated, run.hardware, run.nodes]


def _measured(group: Group) -> list[float | None]:
    spreads = (group.top1, group.train_seconds, group.cost_usd)
    return [value for spread in spreads for value in ((spread.mean, spread.sem) if spread else (None, None))]


def _log(table: list[Any], png: bytes, finished: int, step: int, run: Any) -> None:
    import wandb
    from PIL import Image

    run.log(
        {
            metric_names.FRONTIER_TABLE: wandb.Table(columns=list(COLUMNS), data=table),
            metric_names.FRONTIER_PICTURE: wandb.Image(Image.open(io.BytesIO(png))),
            metric_names.FRONTIER_RUNS: finished,
        },
        step=step,
        # Else it would be sent with the next one only.
        commit=True,
    )


if __name__ == "__main__":
    sys.exit(main())
