"""The checkpoints of a run: one file, and the link that names it."""

from __future__ import annotations

import contextlib
import os
import shutil
import zipfile
from pathlib import Path

from resnet_exp.core.errors import RequestError
from resnet_exp.runs.folder import RunFolder


def check_checkpoint(run: RunFolder) -> None:
    """Raise `RequestError` if the checkpoint that a run would resume from is truncated or gone."""
    path = run.latest_checkpoint
    if path.is_symlink() and not path.exists() and not _complete(run):
        raise RequestError(
            f"checkpoint {path} names {os.readlink(path)}, which is gone; bring it back, or remove {run.checkpoints} "
            "to train from the beginning"
        )
    if path.exists() and not zipfile.is_zipfile(path):
        raise RequestError(f"checkpoint {path} is damaged; remove {run.checkpoints} to train from the beginning")


def _complete(run: RunFolder) -> list[Path]:
    """Checkpoints that were written to their end."""
    # Torch writes a ZIP archive, whose directory comes last: a truncated file is not a valid ZIP.
    return [path for path in run.checkpoints.glob("*.pt") if zipfile.is_zipfile(path)]


def point_to(run: RunFolder, name: str) -> None:
    """Point ``latest`` to another checkpoint atomically: it always names one."""
    link = run.checkpoints / f".latest.{os.getpid()}"
    link.symlink_to(name)
    link.replace(run.latest_checkpoint)


def remove_stale(run: RunFolder) -> None:
    """Remove everything but the checkpoint of ``latest``: superseded checkpoints and truncated files."""
    latest = run.latest_checkpoint
    kept = {latest, latest.resolve()}
    stale = [path for path in run.checkpoints.glob("*.pt") if path not in kept and path.resolve() not in kept]
    for path in [*stale, *run.checkpoints.glob(".latest.*")]:
        with contextlib.suppress(OSError):
            path.unlink()


def remove_all(run: RunFolder) -> None:
    """Remove the checkpoints of a finished run: its weights and its result are in files of their own."""
    shutil.rmtree(run.checkpoints, ignore_errors=True)


def repair(run: RunFolder) -> None:
    """Make ``latest`` name the newest complete checkpoint if it names none, and remove all others.

    Composer removes the old link before it makes the new one: a kill in between would lose the whole run.
    """
    if not run.latest_checkpoint.exists() and (complete := _complete(run)):
        point_to(run, max(complete, key=lambda path: path.stat().st_mtime).name)
    remove_stale(run)
