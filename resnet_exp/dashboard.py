"""``resnet_exp dashboard ENTITY/PROJECT``: a workspace and a report on Weights & Biases."""

from __future__ import annotations

import argparse
import sys

from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, RequestError
from resnet_exp.core.paths import user_path
from resnet_exp.core.terminal import console, help_text, program
from resnet_exp.tracking.publish import publish, write_definition
from resnet_exp.tracking.wandb_runs import PROJECT

EPILOG = """\
The workspace has the frontier (accuracy against time and cost), the curves of each recipe, throughput and data wait,
the schedule, and the system; the report has the frontier's table and plots as sweeps log them. Running it again
overwrites both: manual changes are lost unless they were saved as another view, and newer runs get the colors of their
recipes. Address and login are those of W&B's client: WANDB_BASE_URL, WANDB_API_KEY, wandb login.

exit code: 0 written, 2 the request is wrong"""


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        if not PROJECT.fullmatch(options.project):
            raise RequestError(f"{options.project}: use ENTITY/PROJECT")
        if options.dry_run is not None:
            write_definition(options.dry_run)
            console.say(f"wrote {options.dry_run}")
        else:
            for line in publish(options.project):
                console.say(line)
    except RequestError as error:
        console.complain(str(error))
        return EXIT_BAD_REQUEST
    return EXIT_DONE


def parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = help_text.parser("dashboard", __doc__, EPILOG)
    parser.add_argument("project", metavar="ENTITY/PROJECT", help="where the runs are")
    parser.add_argument(
        "--dry-run", type=user_path, metavar="FILE", help="write what would be sent as JSON; no network"
    )
    return parser


if __name__ == "__main__":
    sys.exit(program.run(main))
