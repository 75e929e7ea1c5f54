"""The manifest of a sweep: ``RUNS/.sweeps/NAME.json``.

One file per sweep, written before its first run starts: the runs in order, each with its overrides and, once
submitted, its job. Only the manifest shows that a run is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

from resnet_exp.core import console
from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import SCHEMA, read_json, write_json, writing
from resnet_exp.core.locks import held_lock, is_locked, open_lock, try_lock

FOLDER = ".sweeps"


def path_of(runs_dir: Path, name: str) -> Path:
    """Manifest of the sweep `name`."""
    return runs_dir / FOLDER / f"{name}.json"


def default_name(run_ids: list[str]) -> str:
    """Default name of a sweep: the same command gives the same name."""
    return f"sweep-{hashlib.sha256(json.dumps(sorted(run_ids)).encode()).hexdigest()[:8]}"


def write_manifest(runs_dir: Path, record: dict[str, Any]) -> None:
    """Write the manifest of a sweep; replaces an earlier one of the same name.

    Raises:
        RequestError: the folder of the runs cannot be written.
    """
    path = path_of(runs_dir, record["sweep"])
    with writing(f"runs_dir={runs_dir}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"schema": SCHEMA, **record})


def read_manifest(runs_dir: Path, name: str) -> dict[str, Any] | None:
    """Manifest of the sweep `name`, None if there is none."""
    return read_json(path_of(runs_dir, name))


def read_manifests(runs_dir: Path) -> list[dict[str, Any]]:
    """Manifests of all sweeps of a folder of runs, oldest first."""
    paths = sorted((runs_dir / FOLDER).glob("*.json"), key=lambda path: path.stat().st_mtime)
    records = (read_json(path) for path in paths)
    return [record for record in records if record is not None]


def jobs(records: list[dict[str, Any]]) -> dict[str, str]:
    """The job of each run whose latest start was a submission, by run id; `records` as from `read_manifests`."""
    latest = {run["run_id"]: run.get("job") for record in records for run in record["runs"]}
    return {run_id: job for run_id, job in latest.items() if job}


@contextlib.contextmanager
def own_sweep(runs_dir: Path, name: str) -> Generator[None]:
    """Hold the lock of the sweep `name`, so that only this process runs it.

    Raises:
        RequestError: another process is running it.
    """
    with writing(f"runs_dir={runs_dir}"):
        descriptor = open_lock(path_of(runs_dir, name).with_suffix(".lock"))
    try:
        if not try_lock(descriptor):
            raise RequestError(f"sweep={name} in {runs_dir} is already running; wait for it or stop it")
        yield
    finally:
        os.close(descriptor)


def is_sweep_owned(runs_dir: Path, name: str) -> bool:
    """Whether some process is running the sweep `name` now."""
    return is_locked(path_of(runs_dir, name).with_suffix(".lock"))


@contextlib.contextmanager
def submitting(runs_dir: Path) -> Generator[None]:
    """Lock a folder of runs for a submission; other submissions wait for their turn."""
    with writing(f"runs_dir={runs_dir}"):
        descriptor = open_lock(runs_dir / FOLDER / ".submit.lock")
    with held_lock(descriptor, lambda: console.say(f"waiting for another submission into {runs_dir} to end")):
        yield
