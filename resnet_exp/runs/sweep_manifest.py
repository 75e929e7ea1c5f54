"""The manifest of a sweep: ``RUNS/.sweeps/NAME.json``.

One file per sweep, written before its first run starts: the runs in order, each with its overrides and, once
submitted, its job. Only the manifest shows that a run is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import SCHEMA, no_empty_folders, write_text, writing
from resnet_exp.core.locks import held_lock, is_locked, is_removed, open_lock, removed_if_refused, try_lock
from resnet_exp.core.records import from_json, read_record
from resnet_exp.core.terminal import console
from resnet_exp.runs.command import Git
from resnet_exp.runs.folder import CANNOT_BE_READ

FOLDER = ".sweeps"


@dataclass(frozen=True)
class SweepRun:
    """A run of a sweep: its id, its overrides, and its job in SLURM's queue if its latest start was a submission."""

    run_id: str
    overrides: tuple[str, ...] = ()
    job: str | None = None


@dataclass(frozen=True, kw_only=True)
class SweepManifest:
    """What a sweep consists of.

    Attributes:
        sweep: its name.
        time: of the command that started its latest runs, as all that follow are of that command.
        command: its words.
        host: where it was given.
        git: the code of its checkout.
        launcher: that starts the runs: ``basic``, ``submitit_local`` or ``slurm``.
        runs: in the order in which they were asked for.
    """

    sweep: str
    time: str | None = None
    command: tuple[str, ...] = ()
    host: str | None = None
    git: Git | None = None
    launcher: str | None = None
    runs: tuple[SweepRun, ...]


def path_of(runs_dir: Path, name: str) -> Path:
    """Manifest of the sweep `name`."""
    return runs_dir / FOLDER / f"{name}.json"


def default_name(run_ids: list[str]) -> str:
    """Default name of a sweep: the same command gives the same name."""
    return f"sweep-{hashlib.sha256(json.dumps(sorted(run_ids)).encode()).hexdigest()[:8]}"


def write_manifest(runs_dir: Path, manifest: SweepManifest) -> None:
    """Write the manifest of a sweep; replaces an earlier one of the same name.

    Raises:
        RequestError: the folder of the runs cannot be written.
    """
    path = path_of(runs_dir, manifest.sweep)
    with writing(f"runs_dir={runs_dir}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, manifest_text(manifest))


def manifest_text(manifest: SweepManifest) -> str:
    """What the file of a manifest has."""
    return json.dumps({"schema": SCHEMA, **asdict(manifest)}, indent=1) + "\n"


def read_manifest(runs_dir: Path, name: str) -> SweepManifest | None:
    """Manifest of the sweep `name`, None if there is none.

    Raises:
        RequestError: there is one, and it cannot be used.
    """
    return _read(path_of(runs_dir, name))


def read_manifests(runs_dir: Path, damaged: dict[Path, str] | None = None) -> list[SweepManifest]:
    """Manifests of all sweeps of a folder of runs, oldest first, without those that cannot be used.

    Args:
        runs_dir: the folder.
        damaged: gets those that cannot be used, with the reason.
    """
    damaged = {} if damaged is None else damaged
    found: list[SweepManifest] = []
    for path in _paths(runs_dir, damaged):
        try:
            manifest = _read(path)
        except RequestError as error:
            damaged[path] = str(error)
        else:
            found += [] if manifest is None else [manifest]
    return found


def _paths(runs_dir: Path, damaged: dict[Path, str]) -> list[Path]:
    """Files of manifests, oldest first."""
    aged: list[tuple[float, Path]] = []
    try:
        with os.scandir(runs_dir / FOLDER) as entries:
            for entry in entries:
                if entry.name.endswith(".json") and not entry.name.startswith("."):
                    aged.append((entry.stat(follow_symlinks=False).st_mtime, Path(entry.path)))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        damaged[runs_dir / FOLDER] = f"{runs_dir / FOLDER} {CANNOT_BE_READ.format(error.strerror)}"
    return [path for _, path in sorted(aged)]


def notes(runs_dir: Path) -> list[str]:
    """What a user should know about the manifests of a folder of runs: those that are left out."""
    damaged: dict[Path, str] = {}
    read_manifests(runs_dir, damaged)
    return [f"left out: {why}" for why in damaged.values()]


def _read(path: Path) -> SweepManifest | None:
    return read_record(path, partial(from_json, SweepManifest))


def jobs(manifests: Iterable[SweepManifest]) -> dict[str, str]:
    """The job of each run whose latest start was a submission, by run id; `manifests` as from `read_manifests`."""
    latest = {run.run_id: run.job for manifest in manifests for run in manifest.runs}
    return {run_id: job for run_id, job in latest.items() if job}


@contextlib.contextmanager
def own_sweep(runs_dir: Path, name: str) -> Generator[None]:
    """Hold the lock of the sweep `name`, so that only this process runs it; it is gone if the block refuses the sweep.

    Raises:
        RequestError: another process is running it.
    """
    path = path_of(runs_dir, name).with_suffix(".lock")
    with no_empty_folders(path.parent):
        with writing(f"runs_dir={runs_dir}"):
            descriptor = open_lock(path)
        try:
            if not try_lock(descriptor) or is_removed(descriptor, path):
                raise RequestError(f"sweep={name} in {runs_dir} is already running; wait for it or stop it")
            with removed_if_refused(path):
                yield
        finally:
            os.close(descriptor)


def is_sweep_owned(runs_dir: Path, name: str) -> bool:
    """Whether some process is running the sweep `name` now."""
    return is_locked(path_of(runs_dir, name).with_suffix(".lock"))


@contextlib.contextmanager
def submitting(runs_dir: Path) -> Generator[None]:
    """Lock a folder of runs for a submission; others wait for their turn. The lock is gone if the block refuses it."""
    path = runs_dir / FOLDER / ".submit.lock"
    with no_empty_folders(path.parent):
        with writing(f"runs_dir={runs_dir}"):
            descriptor = open_lock(path)
        with held_lock(descriptor, lambda: console.say(f"waiting for another submission into {runs_dir} to end")):
            anew = submitting(runs_dir) if is_removed(descriptor, path) else removed_if_refused(path)
            with anew:
                yield
