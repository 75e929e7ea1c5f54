"""Finished runs of a Weights & Biases project, or of the files of its client, as the report sees them.

Two keys of a run's summary are read, which `resnet_exp.loggers.wandb_logger` writes when the run ends:

- ``result``: the content of ``result.json``;
- ``evaluations``: the rows of ``metrics.jsonl``; may be missing.

Runs without ``result``, such as those of other programs, are named as unreadable. W&B's address and login are those of
its own client (``WANDB_BASE_URL``, ``WANDB_API_KEY``, ``wandb login``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from resnet_exp.core.errors import RequestError
from resnet_exp.core.text import printable
from resnet_exp.results import parse
from resnet_exp.results.record import RunRecord
from resnet_exp.runs.result import result_of
from resnet_exp.tracking import offline_files

PROJECT = re.compile(r"[^/\s]+/[^/\s]+")
TIMEOUT_SECONDS = 20
Found = tuple[list[RunRecord], list[tuple[Path, str]]]


def read_project(project: str) -> Found:
    """Finished runs of ``entity/project``, and those that cannot be used, with the reason.

    Raises:
        RequestError: there is no such project, no login, or no way to W&B.
    """
    if not PROJECT.fullmatch(project):
        raise RequestError(f"--wandb {project} names no project; use --wandb ENTITY/PROJECT")
    summaries = {f"{project}/{found.id}": found.summary_metrics or {} for found in _finished(project)}
    return _runs(summaries, "its summary on W&B")


def read_offline_files(folder: Path) -> Found:
    """Finished runs in the files of W&B's client in a folder, and those that cannot be used, with the reason.

    A run that was resumed has a file for each try, of which the last has the result.
    """
    summaries: dict[str, dict[str, Any]] = {}
    damaged = []
    for path in offline_files.find(folder):
        try:
            summaries.setdefault(path.stem.removeprefix("run-"), {}).update(offline_files.summary(path))
        except (OSError, ValueError) as error:
            damaged.append((path, str(error.strerror if isinstance(error, OSError) else error)))
    runs, unreadable = _runs(summaries, f"W&B's files in {folder}")
    return runs, [*unreadable, *damaged]


def _runs(summaries: dict[str, dict[str, Any]], where: str) -> Found:
    runs, unreadable = [], []
    for name, summary in summaries.items():
        try:
            runs.append(_run(summary, printable(name)))
        except ValueError as error:
            unreadable.append((Path(printable(name)), f"{where}: {error}"))
    return runs, unreadable


def _finished(project: str) -> list[Any]:
    # Imported late: it takes a second, and few ask for it.
    import wandb
    import wandb.errors

    try:
        api = wandb.Api(timeout=TIMEOUT_SECONDS)
        return list(api.runs(project, filters={"state": "finished"}, per_page=500, lazy=False))
    except (wandb.errors.Error, ValueError, OSError) as error:
        # Its own are of all kinds: no login, no such project, no network.
        reason = " ".join(str(error).split())
        raise RequestError(
            f"--wandb {project} cannot be read ({reason:.200}); see wandb login and WANDB_BASE_URL"
        ) from error


def _run(summary: dict[str, Any], name: str) -> RunRecord:
    if "result" not in summary:
        raise ValueError("it has no result")
    result = result_of(summary["result"])
    rows = summary.get("evaluations")
    curve = parse.curve(rows) if isinstance(rows, list) else ()
    return parse.run_of_result(result, printable(result.run_id), curve, None)
