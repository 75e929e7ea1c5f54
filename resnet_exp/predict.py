"""What images show: ``resnet_exp predict MODEL IMAGE...``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_exp import api
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, RequestError
from resnet_exp.core.paths import user_path
from resnet_exp.core.terminal import console, help_text, program
from resnet_exp.core.terminal.text import printable
from resnet_exp.data.images import image_tree
from resnet_exp.reporting.curves import output_path, save

if TYPE_CHECKING:
    from resnet_exp.inference.classifier import Prediction

EPILOG = """\
MODEL is a run folder, a checkpoint in one, a folder that export has written, torchvision:NAME, timm:NAME, or a file of
weights of a ResNet. IMAGE is a file, or a folder of which all images are taken. An image that cannot be read is named
in one line on standard error, and the others are classified.

exit code: 0 all images classified, 1 some cannot be read, 2 the request is wrong"""


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        sheet = None
        if options.sheet is not None:
            sheet = output_path(str(user_path(options.sheet)), f"--sheet {options.sheet}")
        paths = list(_images(options.images))
        classifier = api.load_model(options.model, options.device)
        found: list[Prediction] = []
        for one in classifier.predict(paths, options.top):
            _show(one, options.json)
            found.append(one)
        if sheet is not None and any(one.error is None for one in found):
            from resnet_exp.inference.contact_sheet import draw

            save(draw(found), sheet, f"--sheet {options.sheet}")
    except RequestError as error:
        console.complain(str(error))
        return EXIT_BAD_REQUEST
    return EXIT_FAILED if any(one.error for one in found) else EXIT_DONE


def parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = help_text.parser("predict", __doc__, EPILOG)
    parser.add_argument("model", metavar="MODEL", help="such as runs/RUN")
    parser.add_argument("images", nargs="+", type=user_path, metavar="IMAGE", help="files, or folders of them")
    parser.add_argument("--top", type=_count, default=5, metavar="N", help="classes of each answer (default: 5)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--sheet", metavar="FILE", help="draw the images with their classes: .png, .svg or .pdf")
    parser.add_argument("--device", help="such as cuda:1 (default: the first GPU, else the CPU)")
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of classes; use 1 or more")
    return int(text)


def _images(paths: Sequence[Path]) -> Iterator[str]:
    """The files themselves, and those below the folders, sorted."""
    for path in paths:
        if not path.is_dir():
            yield str(path)
            continue
        found = sorted(image_tree.images(path))
        if not found:
            raise RequestError(f"{path} holds no images ({', '.join(image_tree.IMAGE_SUFFIXES)}); give another folder")
        yield from found


def _show(one: Prediction, as_json: bool) -> None:
    if one.error is not None:
        console.complain(one.error)
    if as_json:
        console.say(json.dumps({key: value for key, value in asdict(one).items() if value not in (None, ())}))
    elif one.error is None:
        classes = "  ".join(f"{printable(guess.label)} {guess.probability:.1%}" for guess in one.guesses)
        console.say(f"{printable(one.image)}  {classes}")


if __name__ == "__main__":
    sys.exit(program.run(main))
