"""Metrics as files in the run folder, for spreadsheets and scripts: one row per batch and per evaluation."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from composer.core import State
from composer.loggers import Logger, LoggerDestination
from composer.utils import dist

from resnet_exp.core import files
from resnet_exp.loggers import metric_names
from resnet_exp.loggers.recorder import finished

# By column: numbers, or what a CSV file has for them.
Row = dict[str, float | str]
COLUMNS = {
    "train": (metric_names.BATCH, *metric_names.BATCH_METRICS),
    "eval": (
        metric_names.EPOCH,
        metric_names.BATCH,
        *metric_names.EVAL_METRICS,
        *map(metric_names.seconds_to, metric_names.TARGETS),
    ),
}


class Rows(LoggerDestination):
    """Append to ``train.csv`` and ``eval.csv``, or ``.jsonl``; a resumed run continues its files.

    A logger of Composer 0.32.1, whose ``FileLogger`` writes lines of text.
    """

    def __init__(self, runs_dir: str, format: str) -> None:
        """`format` is ``csv`` or ``jsonl``."""
        self._runs_dir, self._format = Path(runs_dir).absolute(), format
        self._paths: dict[str, Path] = {}

    def after_load(self, state: State, logger: Logger) -> None:
        """Drop the rows after the checkpoint that the run resumes from; all rows if it starts from scratch."""
        if dist.get_global_rank() != 0:
            return
        assert state.run_name is not None
        self._paths = {kind: self._runs_dir / state.run_name / f"{kind}.{self._format}" for kind in COLUMNS}
        done = state.timestamp.batch.value
        for kind, path in self._paths.items():
            # A finished run is evaluated once more.
            last = done - (kind == "eval" and finished(state))
            self._write(kind, [row for row in self._read(path) if int(row[metric_names.BATCH]) <= last])

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Append a row of `resnet_exp.loggers.metrics`; other metrics are ignored."""
        kind = "eval" if metric_names.TOP1 in metrics else "train"
        if self._paths and metric_names.BATCH in metrics:
            with self._paths[kind].open("a", newline="") as file:
                file.write(self._line(kind, metrics))

    def _line(self, kind: str, row: Row) -> str:
        if self._format == "jsonl":
            return json.dumps(row) + "\n"
        return ",".join(str(row.get(column, "")) for column in COLUMNS[kind]) + "\n"

    def _read(self, path: Path) -> list[Row]:
        if not path.exists():
            return []
        if self._format == "jsonl":
            return list(files.read_lines(path))
        text = path.read_text()
        # A last line that a crash truncated is dropped.
        return list(csv.DictReader(text[: text.rfind("\n") + 1].splitlines()))

    def _write(self, kind: str, rows: list[Row]) -> None:
        head = "" if self._format == "jsonl" else ",".join(COLUMNS[kind]) + "\n"
        files.write_text(self._paths[kind], head + "".join(self._line(kind, row) for row in rows))
