"""Where converted images are, and how they get there, whatever their format. No torch: the front asks for them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from resnet_exp.core.errors import EXIT_BAD_REQUEST, RequestError, RunFailed
from resnet_exp.core.files import writing
from resnet_exp.core.locks import held_lock, open_lock
from resnet_exp.core.processes import die_with_parent
from resnet_exp.core.text import printable
from resnet_exp.data.conversion.cache import ConversionRequest

Say = Callable[[str], None]

# The largest image that is taken needs some seconds; a disk on a network that comes back, a minute or two.
PATIENCE_SECONDS = 300
# What the writer's last words begin with.
REASON = "reason: "


@dataclass(frozen=True)
class ConversionOptions:
    """How images are made ready for a run.

    `workers` processes convert, and `say` takes a line for the user; so many images that cannot be converted are left
    out as `most_skipped` says; the run expects as many classes as `classes`, None for any number.
    """

    workers: int
    say: Say
    most_skipped: int = 0
    classes: int | None = None


def convert(wish: ConversionRequest, missing: dict[str, Path], terms: ConversionOptions) -> None:
    """Write the splits that are missing, by the path of each; a second process waits for the first.

    Args:
        wish: what they are made from.
        missing: their places.
        terms: how it is done.

    Raises:
        RequestError: the cache cannot be written or hold it, or the images are of no use.
        RunFailed: the conversion failed; nothing is left in a split's place.
    """
    cache, unfinished = next(iter(missing.values())).parent, wish.work_folder
    with writing(f"data.cache_dir={wish.cache_dir}"):
        cache.mkdir(parents=True, exist_ok=True)
        lock = open_lock(unfinished / ".lock")
    with held_lock(lock, lambda: terms.say(f"another process converts into {cache}; waiting for it")):
        # The small split first: a bad image in it should not cost the time of the large one.
        still = [(split, missing[split]) for split in sorted(missing, reverse=True) if not missing[split].exists()]
        if not still:
            return
        terms.say(f"writing {' and '.join(place.name for _, place in still)} into {cache} (once, then reused)")
        request = {
            "conversion": wish.kind.conversion,
            "places": [
                [os.path.join(wish.root, split), str(place), str(unfinished / f"{place.name}.partial")]
                for split, place in still
            ],
            "content": wish.content,
            "cache_dir": wish.cache_dir,
            "workers": terms.workers,
            "most_skipped": terms.most_skipped,
            "patience_seconds": PATIENCE_SECONDS,
        }
        _run_writer(request, lock)


def _run_writer(request: Mapping[str, Any], lock: int) -> None:
    """Run the writer in a process group of its own, which holds the lock until its last process has ended."""
    command = [sys.executable, "-m", "resnet_exp.data.writer", json.dumps(request)]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        pass_fds=(lock,),
        # Threads of a numerical library would be lost in workers that are forked.
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=partial(die_with_parent, signal.SIGKILL),
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
        raise RunFailed(f"conversion of {printable(Path(request['places'][0][0]).parent)} failed: {reason}")


def _reason(errors: str, code: int) -> str:
    """What the writer said; Python's clean-up after it may have warned since."""
    lines = [line for line in errors.splitlines() if line.strip()]
    said = [line.removeprefix(REASON) for line in lines if line.startswith(REASON)]
    return (said or lines or [f"exit code {code}"])[-1]
