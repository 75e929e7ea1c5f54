"""The mirror of a run: ``mirror=URL``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator

from resnet_exp.config import identity
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import RequestError, RunFailed, RunStopped
from resnet_exp.core.files import writing
from resnet_exp.core.machine import slurm
from resnet_exp.core.terminal import console
from resnet_exp.mirror.claim import StoredRun, mirror_of, refusing, stored_run
from resnet_exp.mirror.restore import RESULT, restore
from resnet_exp.mirror.upload import FINISH_SECONDS, Upload
from resnet_exp.runs.failure import failure_now, write_failure
from resnet_exp.runs.folder import RunFolder, acquire

# In the run folder: the token of the claim that its process has last taken.
TOKEN = ".mirror"
# In the run folder: the start of the job for which the run was brought from its mirror, as other nodes wait for that.
BROUGHT = ".mirror_brought"
# At the end of a job that starts again: its time is short, and the next start copies what is left.
JOB_SECONDS = 30.0


def check_mirror(config: RunConfig) -> str | None:
    """Check that the mirror of a run answers; returns it, None if the run has none.

    Raises:
        RequestError: it does not.
    """
    if config.mirror is None:
        return None
    try:
        mirror_of(config.mirror).sizes("")
    except RunFailed as error:
        raise refusing(error) from error
    console.status("")
    return config.mirror


@contextlib.contextmanager
def mirrored(folder: RunFolder, config: RunConfig) -> Generator[None]:
    """Bring a run from its mirror if that is ahead, and keep the mirror up to date during the block.

    The caller holds the folder's lock. Does nothing for a run without a mirror.

    Raises:
        RequestError: the mirror cannot be used, or is of another run.
        OwnedByOther: another machine carries the run out.
        RunFailed: the run is done, and its mirror does not have all of it.
    """
    if config.mirror is None:
        yield
        return
    upload = _begin(folder, config, stored_run(config.mirror, folder.path.name))
    refused, patience = False, FINISH_SECONDS
    try:
        yield
    except RequestError:
        refused = True
        raise
    except (RunStopped, KeyboardInterrupt):
        patience = JOB_SECONDS if slurm.own_job() is not None else FINISH_SECONDS
        raise
    finally:
        console.status(f"copying what is left to {config.mirror}")
        upload.finish(patience, uploads=not refused)
        console.status("")
        if not refused:
            _check_complete(folder, config, upload)


def _begin(folder: RunFolder, config: RunConfig, stored: StoredRun) -> Upload:
    token = folder.path / TOKEN
    earlier = token.read_text() if token.exists() else None
    upload: Upload | None = None
    try:
        claim = stored.take(identity.digest(config), earlier, console.say)
        upload = Upload(folder, stored, claim, console.say)
        upload.start()
        with writing(f"runs_dir={folder.path.parent}"):
            token.write_text(claim.token)
            brought = restore(folder, stored, claim)
            (folder.path / BROUGHT).write_text(str(slurm.attempt()))
    except BaseException as error:
        if upload is not None:
            upload.finish(FINISH_SECONDS, uploads=False)
        if isinstance(error, RunFailed):
            raise refusing(error) from error
        raise
    finally:
        console.status("")
    if brought is not None:
        console.say(f"brought from {stored.remote.url}: {len(brought.files)} files")
    return upload


def is_brought(folder: RunFolder) -> bool:
    """Whether the first node of this start of a job has brought the run from its mirror."""
    mark = folder.path / BROUGHT
    return mark.exists() and mark.read_text() == str(slurm.attempt())


def complete_mirror(folder: RunFolder, config: RunConfig) -> None:
    """Copy a run that is done here to its mirror, unless the mirror has a result.

    Raises:
        RequestError: the mirror cannot be used.
        RunFailed: it does not have all of the run.
    """
    if config.mirror is None:
        return
    stored = stored_run(config.mirror, folder.path.name)
    try:
        claim = stored.newest()
    except RunFailed as error:
        raise refusing(error) from error
    finally:
        console.status("")
    if claim is not None and claim.file(RESULT) is not None:
        folder.failure.unlink(missing_ok=True)
        return
    owner = acquire(folder)
    try:
        with mirrored(folder, config):
            folder.failure.unlink(missing_ok=True)  # of an earlier try
    finally:
        os.close(owner)


def _check_complete(folder: RunFolder, config: RunConfig, upload: Upload) -> None:
    """Check at the end of a run that its mirror has all of it; raises `RunFailed` if not, which is recorded."""
    if upload.error is None:
        return
    line = (
        f"{folder.path.name} is not complete in mirror={config.mirror} ({upload.error}); rerun the same command to "
        "copy it there"
    )
    if folder.result.exists():
        write_failure(folder, failure_now(line))
        raise RunFailed(line)
    console.say(f"note: {line}")
