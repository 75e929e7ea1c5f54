"""Bring runs home: ``resnet_exp pull MIRROR [RUNS]`` copies the runs of a mirror into a folder of runs."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, OwnedByOther, RequestError, RunFailed
from resnet_exp.core.files import writing
from resnet_exp.core.object_store import is_store
from resnet_exp.core.paths import user_path
from resnet_exp.core.terminal import console, help_text, program
from resnet_exp.core.terminal.text import plural, printable
from resnet_exp.mirror.claim import SETTING, Claim, StoredFile, StoredRun, mirror_of, stored_run
from resnet_exp.mirror.restore import restore
from resnet_exp.runs.folder import RunFolder, acquire

EPILOG = """\
MIRROR is the mirror= of the runs, such as s3://BUCKET/FOLDER. What is in RUNS already is not copied again, and a run
that is farther there than in the mirror is left alone. A run that is not finished comes as far as it is.

exit code: 0 all runs are here, 1 some are not, 2 the request is wrong"""
DEFAULT_RUNS = Path("runs")
# Files of a hundred megabytes each, which no table and no picture of a report needs.
LARGE = ("weights.pt", "checkpoints/")


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        return _pull(options.mirror, options.runs, _is_small if options.results else lambda file: True)
    except (RequestError, RunFailed) as error:
        console.status("")
        console.complain(str(error))
        return EXIT_BAD_REQUEST


def parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = help_text.parser("pull", __doc__, EPILOG)
    parser.add_argument("mirror", metavar="MIRROR", help="a folder of an object store")
    parser.add_argument(
        "runs", nargs="?", type=user_path, metavar="RUNS", default=DEFAULT_RUNS, help="a folder of runs (default: runs)"
    )
    parser.add_argument("--results", action="store_true", help="without weights and checkpoints")
    return parser


def _is_small(file: StoredFile) -> bool:
    return not file.name.startswith(LARGE)


def _pull(mirror: str, runs: Path, wanted: Callable[[StoredFile], bool]) -> int:
    if not is_store(mirror):
        raise RequestError(f"{printable(mirror)} is not a folder of an object store; give the mirror= of the runs")
    names = mirror_of(mirror).folders()
    runs_there, brought, left = 0, 0, 0
    for number, name in enumerate(names, 1):
        console.status(f"{number} of {len(names)}: {name}")
        try:
            stored = stored_run(mirror, name)
            if (claim := stored.newest()) is None:
                continue
            runs_there += 1
            brought += _pull_run(stored, claim, RunFolder(runs.absolute() / name), wanted)
        except (OwnedByOther, RunFailed) as error:
            console.status("")
            console.complain(f"{name} is left as it is here: {error}")
            left += 1
    console.status("")
    if not runs_there and not left:
        raise RequestError(f"{mirror} has no runs; give the {SETTING}= of the runs")
    console.say(f"{plural(brought, 'run')} of {runs_there} brought from {mirror} into {runs}")
    return EXIT_FAILED if left else EXIT_DONE


def _pull_run(stored: StoredRun, claim: Claim, run: RunFolder, wanted: Callable[[StoredFile], bool]) -> bool:
    """Bring one run; False if there was nothing to bring."""
    if not claim.files:
        return False
    new = not run.path.exists()
    with writing(f"RUNS={run.path.parent}", "give a folder of runs that can"):
        owner = acquire(run)
        try:
            return restore(run, stored, claim, wanted) is not None
        except BaseException:
            if new:
                shutil.rmtree(run.path, ignore_errors=True)
            raise
        finally:
            os.close(owner)


if __name__ == "__main__":
    sys.exit(program.run(main))
