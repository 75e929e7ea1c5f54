"""``python -m resnet_exp.status RUNS...``: every run of a folder: planned, queued, running, done, failed, missing."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from resnet_exp.core.console import complain
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, RequestError
from resnet_exp.runs import states, status_table

EPILOG = "exit code: 0 if no run failed or is missing, 1 if any did, 2 if the folder is not a folder of runs"


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser("python -m resnet_exp.status", description=__doc__, epilog=EPILOG)
    parser.add_argument("runs", nargs="*", type=Path, default=[Path("runs")], help="folders of runs (default: runs)")
    parser.add_argument("--sweep", help="the runs of this sweep only")
    parser.add_argument("--kind", action="append", choices=states.KINDS, help="runs in this state only; repeatable")
    parser.add_argument("--json", action="store_true", help="one JSON object a run instead of a table")
    options = parser.parse_args(arguments)
    try:
        found = [
            state for runs in options.runs for state in states.collect_states(runs.absolute(), sweep=options.sweep)
        ]
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
    return EXIT_FAILED if any(state.kind in ("failed", "missing") for state in found) else EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
