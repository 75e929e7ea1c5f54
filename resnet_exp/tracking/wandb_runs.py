"""Read the finished runs of a Weights & Biases project for the report, and find run folders by ``wandb`` folders.

Two keys of a run's summary are read, which `resnet_exp.loggers.wandb_logger` writes when the run ends:

- ``result``: the content of ``result.json``;
- ``evaluations``: the rows of ``metrics.jsonl``; may be missing.

Runs without ``result``, such as those of other programs, are named as unreadable. W&B's address and login are those of
its own client (``WANDB_BASE_URL``, ``WANDB_API_KEY``, ``wandb login``).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import one_line, printable
from resnet_exp.results import parse
from resnet_exp.results.record import RunRecord
from resnet_exp.runs.folder import is_run
from resnet_exp.runs.result import result_of

PROJECT = re.compile(r"[^/\s]+/[^/\s]+")
# File that W&B's client writes into each run's folder inside ``RUN/wandb``.
FILES = "run-*.wandb"
TIMEOUT_SECONDS = 20
# What W&B's own process has for its end once it has refused.
END_SECONDS = 5
Found = tuple[list[RunRecord], list[tuple[Path, str]]]


def read_project(project: str) -> Found:
    """Finished runs of ``entity/project``, and those that cannot be used, with the reason.

    Raises:
        RequestError: the project does not exist, or there is no login or no connection.
    """
    if not PROJECT.fullmatch(project):
        raise RequestError(f"--wandb {project}: use --wandb ENTITY/PROJECT")
    summaries = {f"{project}/{found.id}": found.summary_metrics or {} for found in _finished(project)}
    return _runs(summaries, "its summary on W&B")


def run_folder_of(folder: Path) -> Path:
    """The run folder that contains `folder` if that is ``wandb`` or one of the client's runs in it; else `folder`.

    Raises:
        RequestError: W&B's files were copied without the run folder.
    """
    if any(folder.glob(FILES)):
        holder = folder.absolute().parent.parent
    elif any(folder.glob(f"*run-*/{FILES}")):
        holder = folder.absolute().parent
    else:
        return folder
    if is_run(holder):
        return holder
    raise RequestError(
        f"{folder} has only W&B's files, the results are in the run folder; give that, or upload the files with "
        "wandb sync and give --wandb ENTITY/PROJECT"
    )


def _runs(summaries: Mapping[str, Mapping[str, object]], where: str) -> Found:
    runs, unreadable = [], []
    for name, summary in summaries.items():
        try:
            runs.append(_run(summary))
        except ValueError as error:
            unreadable.append((Path(printable(name)), f"{where}: {error}"))
    return runs, unreadable


def _finished(project: str) -> list[Any]:
    # Imported late: it takes a second, and is rarely needed.
    import wandb
    import wandb.errors

    try:
        api = wandb.Api(timeout=TIMEOUT_SECONDS)
        return list(api.runs(project, filters={"state": "finished"}, per_page=500, lazy=False))
    except (wandb.errors.Error, ValueError, OSError) as error:
        # W&B raises many kinds of errors: no login, no such project, no network.
        end_client()
        raise RequestError(
            f"--wandb {project} cannot be read ({one_line(error):.200}); see wandb login and WANDB_BASE_URL"
        ) from error


def end_client() -> None:
    """Give W&B's own process seconds to end: at exit its client waits for it, and it may sleep for minutes.

    Killed at once, it would leave its client a traceback.
    """
    timer = threading.Timer(END_SECONDS, _kill_client)
    timer.daemon = True
    timer.start()


def _kill_client() -> None:
    for child in psutil.Process().children():
        if child.name() == "wandb-core":
            child.kill()


def _run(summary: Mapping[str, object]) -> RunRecord:
    if "result" not in summary:
        raise ValueError("it has no result")
    result = result_of(summary["result"])
    rows = summary.get("evaluations")
    curve = parse.curve(rows) if isinstance(rows, list) else ()
    return parse.run_of_result(result, printable(result.run_id), curve, None)
