"""How good a model is, on its run's images or on others: ``resnet_exp evaluate MODEL [KEY=VALUE...]``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict

from resnet_exp import api
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, RequestError, RunFailed
from resnet_exp.core.paths import user_path
from resnet_exp.core.terminal import console, help_text, program
from resnet_exp.inference import evaluation_text
from resnet_exp.reporting.curves import output_path, save

EPILOG = """\
MODEL is a run folder, a checkpoint in one, torchvision:NAME, timm:NAME, or a file of weights of a ResNet. KEY=VALUE are
those of training: dataset, data, resolution.eval_crop, resolution.eval_resize, eval_batch_size, hardware. Without them
a run is evaluated on its own images, and gives the numbers of its last evaluation. Of dataset.dir, val/ is enough.

On several GPUs: torchrun --nproc-per-node 8 -m resnet_exp.evaluate MODEL

exit code: 0 evaluated, 1 an image cannot be read, 2 the request is wrong"""


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = parser().parse_args(arguments)
    first = os.environ.get("RANK", "0") == "0"
    try:
        picture = None
        if options.picture is not None:
            picture = output_path(str(user_path(options.picture)), f"--picture {options.picture}")
        found = api.evaluate(options.model, *options.words, crops=options.crops)
        if first and picture is not None:
            from resnet_exp.inference.evaluation_picture import draw

            save(draw(found), picture, f"--picture {options.picture}")
    except (RequestError, RunFailed) as error:
        if first:
            console.complain(str(error))
        return EXIT_BAD_REQUEST if isinstance(error, RequestError) else EXIT_FAILED
    if first:
        console.say(json.dumps(asdict(found), indent=1) if options.json else evaluation_text.text(found))
    return EXIT_DONE


def parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = help_text.parser("evaluate", __doc__, EPILOG)
    parser.add_argument("model", metavar="MODEL", help="such as runs/RUN or torchvision:resnet50")
    parser.add_argument(
        "words", nargs="*", default=[], metavar="KEY=VALUE", help="the images, such as dataset.dir=PATH"
    )
    parser.add_argument(
        "--crops",
        type=_sides,
        default=(),
        metavar="PX,PX",
        help="also evaluate at these sizes, such as 160,192,224,288",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--picture", metavar="FILE", help="draw calibration, classes and sizes: .svg, .png or .pdf")
    return parser


def _sides(text: str) -> tuple[int, ...]:
    sides = tuple(int(part) for part in text.split(",") if part.isdigit() and int(part) >= evaluation_text.LEAST_SIDE)
    if len(sides) != len(text.split(",")):
        raise argparse.ArgumentTypeError(f"{text} is not a list of sides in pixels; use numbers such as 160,224")
    return sides


if __name__ == "__main__":
    sys.exit(program.run(main))
