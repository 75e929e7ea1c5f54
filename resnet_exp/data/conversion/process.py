"""Converts images in a process of its own, once for all processes that want them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from resnet_exp.core.errors import EXIT_BAD_REQUEST, RequestError, RunFailed
from resnet_exp.core.files import writing
from resnet_exp.core.locks import held_lock, open_lock
from resnet_exp.core.machine.processes import die_with_parent
from resnet_exp.core.records import Number
from resnet_exp.core.terminal.text import printable
from resnet_exp.data.conversion.cache import ConversionRequest
from resnet_exp.data.images.image_tree import SPLITS

Say = Callable[[str], None]

# The largest image takes seconds; a network disk that was away may be back after a minute or two.
PATIENCE_SECONDS = 300
# How the line begins with which the writer says why it failed.
REASON = "reason: "


@dataclass(frozen=True)
class ConversionOptions:
    """How images are converted.

    Attributes:
        workers: processes that convert.
        say: takes a line for the user.
        most_skipped: number of images that may be left out because they cannot be converted.
        classes: number of classes that the run expects; None for any.
        splits: those that are read; a conversion reads both.
    """

    workers: int
    say: Say
    most_skipped: int = 0
    classes: int | None = None
    splits: Sequence[str] = SPLITS


@dataclass(frozen=True)
class WriterPlace:
    """One split: the folder of its images, what is made of it, and where that lies until it is whole."""

    folder: str
    target: str
    unfinished: str


@dataclass(frozen=True)
class WriterRequest:
    """What the writer's process is asked to do.

    Attributes:
        conversion: import path of a `resnet_exp.data.conversion.base.Conversion`.
        places: the splits.
        content: as of `ConversionRequest`.
        cache_dir: as of `ConversionRequest`.
        workers: as of `ConversionOptions`.
        most_skipped: as of `ConversionOptions`.
        patience_seconds: without a message from any worker, after which it fails.
    """

    conversion: str
    places: tuple[WriterPlace, ...]
    content: dict[str, object]
    cache_dir: str
    workers: int
    most_skipped: int
    patience_seconds: Number


def convert(request: ConversionRequest, missing: dict[str, Path], options: ConversionOptions) -> None:
    """Write the splits that are missing; a second process that wants them waits for the first.

    Args:
        request: what they are made from.
        missing: the path of each, by split.
        options: how it is done.

    Raises:
        RequestError: the cache cannot be written or is too small, or the images cannot be used.
        RunFailed: the conversion failed; nothing is left in a split's place.
    """
    cache, unfinished = next(iter(missing.values())).parent, request.work_folder
    with writing(f"data.cache_dir={request.cache_dir}"):
        cache.mkdir(parents=True, exist_ok=True)
        lock = open_lock(unfinished / ".lock")
    with held_lock(lock, lambda: options.say(f"another process converts into {cache}; waiting for it")):
        # The small split first, so that a bad image in it is found early.
        still = [(split, missing[split]) for split in sorted(missing, reverse=True) if not missing[split].exists()]
        if not still:
            return
        options.say(f"writing {' and '.join(place.name for _, place in still)} into {cache} (once, then reused)")
        places = (
            WriterPlace(os.path.join(request.root, split), str(place), str(unfinished / f"{place.name}.partial"))
            for split, place in still
        )
        wanted = WriterRequest(
            conversion=request.kind.conversion,
            places=tuple(places),
            content=request.content,
            cache_dir=request.cache_dir,
            workers=options.workers,
            most_skipped=options.most_skipped,
            patience_seconds=PATIENCE_SECONDS,
        )
        _run_writer(wanted, lock)


def _run_writer(request: WriterRequest, lock: int) -> None:
    """Run the writer in a process group of its own, which holds the lock until its last process has ended."""
    command = [sys.executable, "-m", "resnet_exp.data.writer", json.dumps(asdict(request))]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        pass_fds=(lock,),
        # Workers are forked, and a fork has none of the threads that a numerical library started.
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=partial(die_with_parent, signal.SIGKILL, os.getpid()),
    )
    try:
        _, errors = process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    reason = _reason(errors or "", process.returncode)
    if process.returncode == EXIT_BAD_REQUEST:
        raise RequestError(reason)
    if process.returncode:
        raise RunFailed(f"conversion of {printable(Path(request.places[0].folder).parent)} failed: {reason}")


def _reason(errors: str, code: int) -> str:
    """Why the writer failed. Python may have printed warnings after that line, while it ended."""
    lines = [line for line in errors.splitlines() if line.strip()]
    said = [line.removeprefix(REASON) for line in lines if line.startswith(REASON)]
    return (said or lines or [f"exit code {code}"])[-1]
