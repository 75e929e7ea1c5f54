"""Log the frontier of a sweep to Weights & Biases while its runs finish, from the process that waits for the sweep.

The thread of a `BackgroundRun` does all of it, and starts when there is something to log: importing W&B's
client and drawing take seconds, and neither may delay or end the sweep.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_exp.config.checks.values import WANDB
from resnet_exp.core.terminal import console
from resnet_exp.loggers import metric_names
from resnet_exp.loggers.wandb_background import PATIENCE_SECONDS, BackgroundRun
from resnet_exp.results import collect, frontier
from resnet_exp.results.record import RunRecord
from resnet_exp.runs import sweep_manifest
from resnet_exp.sweep.planned import Sweep

# Drawing takes a second or two and each plot is stored, while many short runs may end within seconds.
INTERVAL_SECONDS = 30.0


@dataclass(frozen=True)
class TrackerSettings:
    """Settings of a run's W&B logger that apply to its sweep too; see ``conf/loggers/wandb.yaml``."""

    project: str
    entity: str | None
    init_seconds: float
    finish_seconds: float


class SweepTracker:
    """Logs the frontier of one sweep as its runs end; does nothing if none of its runs logs to W&B."""

    def __init__(self, sweep: Sweep, interval: float) -> None:
        """`interval`: least seconds between two plots; the last one is always logged."""
        self._sweep, self._interval = sweep, interval
        self._settings = _settings(sweep)
        self._run: BackgroundRun | None = None
        self._done, self._due = 0, False
        self._asked_at = -interval
        self._logged, self._step = 0, 0
        self._said: list[str] = []

    def saw(self, done: int) -> None:
        """Record how many runs of the sweep are done now."""
        if done != self._done:
            self._done, self._due = done, True
        if self._due and time.monotonic() - self._asked_at >= self._interval:
            self._ask()

    def close(self) -> None:
        """Log the final state, wait for that as long as a run's logger would, and print errors."""
        if self._due:
            self._ask()
        if self._run is not None:
            self._run.finish()
        for line in self._said:
            console.say(f"frontier of {self._sweep.name}: {line}")

    def _ask(self) -> None:
        self._due, self._asked_at = False, time.monotonic()
        if self._settings is None:
            return
        self._run = self._run or self._open(self._settings)
        self._run.do(self._log)

    def _open(self, settings: TrackerSettings) -> BackgroundRun:
        """Start or resume the W&B run of the sweep: its id is derived from the sweep's name."""
        name = self._sweep.name
        return BackgroundRun(
            folder_of(self._sweep.runs_dir, name),
            # Printed at the end: until then the terminal may show the sweep's table.
            self._said.append,
            settings.init_seconds,
            settings.finish_seconds,
            quiet=True,
            id=f"{metric_names.SWEEP_JOB}-{name}",
            name=name,
            group=name,
            job_type=metric_names.SWEEP_JOB,
            project=settings.project,
            entity=settings.entity,
        )

    def _log(self, run: Any) -> None:
        """Log the frontier as it is now, in W&B's thread."""
        from resnet_exp.loggers.wandb_frontier import FrontierState, log_frontier
        from resnet_exp.reporting import sweep_frontier

        found = finished_runs(self._sweep)
        if len(found) == self._logged:
            return
        self._logged = len(found)
        groups = frontier.aggregate(found)
        # An earlier process may have logged to the same run. W&B drops a row whose step is not above the
        # previous one's, such as one of the same second.
        self._step = max(self._step + 1, int(time.time()))
        rows, png = sweep_frontier.frontier_rows(groups), sweep_frontier.frontier_png(groups)
        log_frontier(run, FrontierState(sweep_frontier.COLUMNS, rows, png, len(found)), self._step)


def finished_runs(sweep: Sweep) -> list[RunRecord]:
    """Runs in the manifest of a sweep that have a valid result.

    Raises:
        RequestError: the manifest cannot be read.
    """
    manifest = sweep_manifest.read_manifest(sweep.runs_dir, sweep.name)
    folders = [sweep.runs_dir / run.run_id for run in manifest.runs] if manifest is not None else []
    return collect.collect_runs([folder for folder in folders if folder.is_dir()]).runs


def folder_of(runs_dir: Path, name: str) -> Path:
    """Folder in which the W&B run of the sweep `name` keeps its files, in ``wandb``."""
    return sweep_manifest.path_of(runs_dir, name).with_suffix(".wandb")


@contextlib.contextmanager
def tracked(sweep: Sweep, interval: float = INTERVAL_SECONDS) -> Iterator[SweepTracker]:
    """A `SweepTracker` that is closed however the sweep ends."""
    tracker = SweepTracker(sweep, interval)
    try:
        yield tracker
    finally:
        tracker.close()


def _settings(sweep: Sweep) -> TrackerSettings | None:
    """W&B settings of the first run that logs to W&B, as far as they apply to the sweep's run."""
    for run in sweep.runs:
        for entry in run.config.loggers.values():
            if entry.get("_target_") == WANDB:
                waits = (entry.get(key, PATIENCE_SECONDS) for key in ("init_seconds", "finish_seconds"))
                return TrackerSettings(entry["project"], entry.get("entity"), *waits)
    return None
