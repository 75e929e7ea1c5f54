"""The worker: turns a run folder into a result. ``resnet_exp train RUN_DIR``.

With ``RANK`` in the environment (from the launcher, ``composer`` or ``torchrun``) this process is that rank; without
it, it starts the ranks. ``RANK=0 resnet_exp train RUN_DIR`` trains in this same process, for debugging.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_FAILED, RequestError, RunFailed
from resnet_exp.core.terminal import program
from resnet_exp.launch.config_file import read_config
from resnet_exp.runs import folder
from resnet_exp.runs.folder import RunFolder
from resnet_exp.training.worker import run_external_rank, run_rank


def main(arguments: list[str] | None = None) -> int:
    """Command line: one run folder. Returns the exit code."""
    from resnet_exp.core.terminal import console
    from resnet_exp.launch.run import resume_run

    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1 or arguments[0].startswith("-"):
        console.complain("usage: resnet_exp train RUN_DIR    (RUN_DIR holds a config.yaml)")
        return EXIT_BAD_REQUEST
    program.work_begins()
    run = RunFolder(Path(arguments[0]).absolute())
    try:
        if folder.OWNED in os.environ:
            return run_rank(run)
        if "RANK" in os.environ:
            return run_external_rank(run)
        return resume_run(run, read_config(run))
    except (RequestError, RunFailed) as error:
        console.complain(str(error))
        return EXIT_BAD_REQUEST if isinstance(error, RequestError) else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(program.run(main))
