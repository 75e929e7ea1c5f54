"""``resnet_exp status RUNS...``: every run of a folder: planned, queued, running, done, failed, missing."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, RequestError
from resnet_exp.core.paths import user_path
from resnet_exp.core.terminal import help_text, program
from resnet_exp.core.terminal.console import complain
from resnet_exp.runs import states, status_table
from resnet_exp.runs.folder import where_runs_are

EPILOG = """\
exit code: 0 if no run has failed, is missing or cannot be read, 1 if any, 2 if the folder is not a folder of runs"""
BAD = ("failed", "missing", states.UNREADABLE)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        found = [state for runs in options.runs for state in _states_of(runs, options.sweep)]
    except RequestError as error:
        complain(str(error))
        return EXIT_BAD_REQUEST
    if options.kind:
        found = [state for state in found if state.kind in options.kind]
    if options.json:
        for state in found:
            sys.stdout.write(json.dumps({**asdict(state), "path": str(state.path)}) + "\n")
    else:
        status_table.show(found)
    return EXIT_FAILED if any(state.kind in BAD for state in found) else EXIT_DONE


def parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = help_text.parser("status", __doc__, EPILOG)
    parser.add_argument(
        "runs", nargs="*", type=user_path, default=[Path("runs")], help="folders of runs (default: runs)"
    )
    parser.add_argument("--sweep", help="the runs of this sweep only")
    kinds = f"runs in this state only, repeatable: {', '.join(states.KINDS)}"
    parser.add_argument("--kind", action="append", choices=states.KINDS, metavar="KIND", help=kinds)
    parser.add_argument("--json", action="store_true", help="one JSON object a run instead of a table")
    return parser


def _states_of(runs: Path, sweep: str | None) -> list[states.RunState]:
    found = states.collect_states(runs.absolute(), sweep=sweep)
    if not found and (note := where_runs_are(runs)):
        complain(f"note: {note}")
    return found


if __name__ == "__main__":
    sys.exit(program.run(main))
