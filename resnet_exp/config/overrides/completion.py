"""What a shell shows after TAB: Hydra's answer, and the names of sweeps where one of them comes next."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from resnet_exp.core import paths
from resnet_exp.core.terminal import console

NAME, FOLDER = ("-cn", "--config-name"), ("-cd", "--config-dir")


def answer(run: Callable[[], None]) -> None:
    """Print what can follow on the line of ``COMP_LINE``; `run` prints Hydra's answer. Prints no errors.

    A line that is not complete has them: they would stand in the middle of what is being typed.
    """
    line = os.environ.get("COMP_LINE", "")
    words = [*line.split(), *([""] if line.endswith(" ") else [])]
    if len(words) > 1 and words[-2] in NAME:
        console.say("\n".join(_names(words)))
        return
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit, Exception):
        run()


def _names(words: Sequence[str]) -> list[str]:
    """Names of the files that define a sweep: ours, and those of a folder that the line names."""
    folders = [paths.sweeps_dir(), *(Path(value) for name, value in itertools.pairwise(words) if name in FOLDER)]
    return sorted(
        {path.stem for folder in folders for path in folder.glob("*.yaml") if path.stem.startswith(words[-1])}
    )
