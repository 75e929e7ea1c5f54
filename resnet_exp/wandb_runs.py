"""Finished runs of a Weights & Biases project as the report sees them.

Two keys of a run's summary are read, which `resnet_exp.wandb_logger` writes when the run ends:

- ``result``: the content of ``result.json``;
- ``evaluations``: the rows of ``metrics.jsonl``; may be missing.

Runs without ``result``, such as those of other programs, are named as unreadable. W&B's address and login are those of
its own client (``WANDB_BASE_URL``, ``WANDB_API_KEY``, ``wandb login``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from resnet_exp import results, rundir
from resnet_exp.collect import printable
from resnet_exp.errors import RequestError
from resnet_exp.records import Run

PROJECT = re.compile(r"[^/\s]+/[^/\s]+")
TIMEOUT_SECONDS = 20


def read(project: str) -> tuple[list[Run], list[tuple[Path, str]]]:
    """Finished runs of ``entity/project``, and those that cannot be used, with the reason.

    Raises:
        RequestError: there is no such project, no login, or no way to W&B.
    """
    if not PROJECT.fullmatch(project):
        raise RequestError(f"--wandb {project} names no project; use --wandb ENTITY/PROJECT")
    runs, unreadable = [], []
    for found in _finished(project):
        name = printable(f"{project}/{found.id}")
        try:
            runs.append(_run(found, name))
        except ValueError as error:
            unreadable.append((Path(name), f"its summary on W&B: {error}"))
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


def _run(found: Any, name: str) -> Run:
    summary = found.summary_metrics or {}
    result = summary.get("result")
    if not isinstance(result, dict) or result.get("schema") != rundir.SCHEMA:
        raise ValueError("it has no result of this version")
    rows = summary.get("evaluations")
    curve = results.curve(rows) if isinstance(rows, list) else ()
    return results.run(result, printable(str(result.get("run_id") or name)), curve, None)
