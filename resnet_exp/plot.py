"""Learning curves of run folders: ``resnet_exp plot RUN_DIR... -o curves.svg``."""

from __future__ import annotations

import argparse
import sys

from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, RequestError
from resnet_exp.core.paths import user_path
from resnet_exp.core.terminal import console, help_text, program
from resnet_exp.core.terminal.text import printable
from resnet_exp.reporting.curves import FORMATS, collect_curve, draw_curves, mixed_datasets, output_path, save
from resnet_exp.runs.folder import RunFolder


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        name = f"--output {options.output}"
        path = output_path(str(user_path(options.output)), name)
        curves = [collect_curve(RunFolder(run)) for run in options.runs]
        save(draw_curves(curves), path, name)
    except RequestError as error:
        console.complain(str(error))
        return EXIT_BAD_REQUEST
    console.say(f"wrote {options.output}")
    if datasets := mixed_datasets(curves):
        console.say(
            f"note: runs of {len(datasets)} datasets, whose top-1 do not compare: {printable(', '.join(datasets))}"
        )
    return EXIT_DONE


def parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = help_text.parser("plot", __doc__)
    parser.add_argument("runs", nargs="+", type=user_path, metavar="RUN_DIR", help="run folders, finished or not")
    kinds = ", ".join(FORMATS)
    parser.add_argument("-o", "--output", default="curves.svg", metavar="FILE", help=f"{kinds} (default: curves.svg)")
    return parser


if __name__ == "__main__":
    sys.exit(program.run(main))
