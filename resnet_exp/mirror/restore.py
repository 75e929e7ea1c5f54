"""Bring a run from its mirror into its folder, if the mirror is ahead: checked files only, all of them or none."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.files import move_into_place
from resnet_exp.mirror.claim import SETTING, Claim, StoredFile, StoredRun
from resnet_exp.mirror.content import digest_of_file
from resnet_exp.runs import checkpoints
from resnet_exp.runs.folder import RunFolder

# Whoever can write to the store must not write elsewhere on this machine.
NAME = re.compile(r"(checkpoints/)?[A-Za-z0-9][\w.+-]*")
BATCH = re.compile(r"-ba(\d+)-")
RESULT, CHECKPOINTS, PART = "result.json", "checkpoints/", ".from_mirror"
# Of a claim that was replaced while its objects were read.
TRIES = 3


def restore(
    run: RunFolder, stored: StoredRun, claim: Claim, wanted: Callable[[StoredFile], bool] = lambda file: True
) -> Claim | None:
    """Bring a run into its folder, which the caller has locked, if the mirror is ahead of it.

    Args:
        run: the folder.
        stored: the run in the mirror.
        claim: the claim that counts.
        wanted: which files to bring.

    Returns:
        The claim that was brought; None if the folder is as far, or farther.

    Raises:
        RequestError: an object is missing or damaged.
        RunFailed: the store cannot be read.
    """
    for left in reversed(range(TRIES)):
        if not _is_ahead(run, claim):
            return None
        try:
            _bring(run, stored, [file for file in claim.files if wanted(file)])
            return claim
        except RunFailed:
            newest = stored.newest()
            if newest is None or newest.files == claim.files or not left:
                raise
            claim = newest
    raise AssertionError


def _is_ahead(run: RunFolder, claim: Claim) -> bool:
    if run.result.exists() or not claim.files:
        return False
    theirs = max((_batches(file.name) for file in claim.files), default=-1)
    ours = _batches(run.latest_checkpoint.resolve().name) if run.latest_checkpoint.exists() else -1
    return claim.file(RESULT) is not None or theirs > ours or not run.config.exists()


def _batches(name: str) -> int:
    found = BATCH.search(name)
    return int(found[1]) if found else -1


def _bring(run: RunFolder, stored: StoredRun, files: Iterable[StoredFile]) -> None:
    part = run.path / PART
    shutil.rmtree(part, ignore_errors=True)
    try:
        brought = {file.name: _fetched(run, stored, file, part) for file in files}
        # What makes the folder a run that goes on, or is done, comes last.
        for name in sorted(brought, key=lambda name: (name == RESULT, name.startswith(CHECKPOINTS))):
            to = run.path / name
            if (path := brought[name]) is not None:
                to.parent.mkdir(exist_ok=True)
                move_into_place(path, to)
            if name.startswith(CHECKPOINTS):
                checkpoints.point_to(run, to.name)
                checkpoints.remove_stale(run)
        if RESULT in brought and not any(name.startswith(CHECKPOINTS) for name in brought):
            checkpoints.remove_all(run)  # of what the run was here
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _fetched(run: RunFolder, stored: StoredRun, file: StoredFile, part: Path) -> Path | None:
    """The checked copy of a file; None if the folder has it."""
    place = f"{stored.remote.url}/{file.object}"
    if not NAME.fullmatch(file.name):
        raise RequestError(f"{SETTING}: {place} is of {file.name!r}, which is not a file of a run; use another mirror")
    there, to = run.path / file.name, part / Path(file.name).name
    if _is(there, file):
        return None
    part.mkdir(exist_ok=True)
    for _ in range(2):
        stored.remote.get(file.object, to)
        if _is(to, file):
            return to
    raise RunFailed(
        f"{place} is damaged: it has {to.stat().st_size:,} bytes of {file.bytes:,}, or another content; remove "
        f"{stored.remote.url} to train from the beginning"
    )


def _is(path: Path, file: StoredFile) -> bool:
    return path.is_file() and path.stat().st_size == file.bytes and digest_of_file(path) == file.digest
