"""Image folders before a run: ``resnet_exp data split PATH``, ``imagenet TARS_DIR``, ``check PATH``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, RequestError, RunFailed
from resnet_exp.core.paths import user_path
from resnet_exp.core.terminal import console, help_text, program
from resnet_exp.core.terminal.finding import lines_of
from resnet_exp.core.terminal.text import below_here, plural, printable, setting
from resnet_exp.data.folders import check, imagenet, split, survey

SPLIT = """\
PATH holds a folder of images for each class. DIR gets train/<class> and val/<class>, with relative symbolic links to
the images: nothing is copied, PATH stays as it is. The same seed draws the same images, every time.

exit code: 0 done, 2 the request is wrong, and nothing was written"""
IMAGENET = """\
TARS_DIR holds ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz, as image-net.org has
them. DIR gets train/<class>/*.JPEG and val/<class>/*.JPEG. The numbers of images and classes are checked against the
devkit. Rerun the same command to resume after an interruption.

exit code: 0 done, 1 a tar is damaged or the disk is full, 2 the request is wrong"""
CHECK = """\
PATH holds train/<class>/* and val/<class>/*, <class>/*, or Parquet files. Every image is decoded.

BAD: a run would be refused, fail, or show a wrong top-1. NOTE: it would not, but look at it.

exit code: 0 nothing is BAD, 1 something is, 2 the request is wrong"""


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except RequestError as error:
        console.complain(str(error))
        return EXIT_BAD_REQUEST
    except RunFailed as error:
        console.complain(str(error))
        return EXIT_FAILED
    finally:
        console.status("")


def parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = help_text.parser("data", __doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, about: str, epilog: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        # Its class is that of `parser`.
        one = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.", epilog=epilog)
        one.formatter_class = parser.formatter_class
        one.set_defaults(run=run)
        return one

    one = add("split", "make train and val of a folder of classes, by links", SPLIT, _split)
    one.add_argument("path", type=user_path, metavar="PATH", help="a folder of class folders")
    one.add_argument("-o", "--output", type=user_path, metavar="DIR", help="default: PATH-split")
    one.add_argument("--val", type=float, default=0.2, metavar="FRACTION", help="of each class (default: 0.2)")
    one.add_argument("--seed", type=int, default=17, metavar="N", help="default: 17")
    one = add("imagenet", "make folders or converted files of ImageNet's tars", IMAGENET, _imagenet)
    one.add_argument("path", type=user_path, metavar="TARS_DIR", help="the folder of the three files")
    one.add_argument("-o", "--output", type=user_path, metavar="DIR", help="default: TARS_DIR")
    one.add_argument("--convert", choices=list(imagenet.FORMATS), help="write FFCV files or MDS shards as well")
    one = add("check", "say what is wrong with a folder of images", CHECK, _check)
    one.add_argument(
        "path", type=user_path, metavar="PATH", help="a folder with train and val, of classes, or of Parquet"
    )
    one.add_argument("--json", action="store_true", help="print one JSON object a finding")
    return parser


def _split(options: argparse.Namespace) -> int:
    made = split.split_folder(options.path, options.output, options.val, options.seed)
    for line in made.left_out.notes():
        console.say(line)
    train, val = (sum(made.images[name].values()) for name in ("train", "val"))
    console.say(
        f"{_shown(made.folder)}: {plural(train, 'image')} to train and {val:,} to evaluate, of "
        f"{plural(len(made.images['val']), 'class')}; links into {_shown(options.path)}, nothing was copied"
    )
    console.say(f"next: resnet_exp recipe=mild {setting('dataset.dir', made.folder)}")
    return EXIT_DONE


def _imagenet(options: argparse.Namespace) -> int:
    program.work_begins()
    target: Path = options.path if options.output is None else options.output
    return imagenet.extract(options.path, target, options.convert)


def _check(options: argparse.Namespace) -> int:
    found = list(check.check(survey.survey(options.path, quiet=options.json)))
    for finding in found:
        console.say(json.dumps(asdict(finding)) if options.json else lines_of(finding, console.width()))
    bad = sum(finding.state == "bad" for finding in found)
    if not options.json:
        notes = plural(sum(finding.state == "note" for finding in found), "note")
        console.say(f"{plural(bad, 'line')} marked BAD, {notes}" if bad else f"nothing is wrong, {notes}")
    return EXIT_FAILED if bad else EXIT_DONE


def _shown(path: Path) -> str:
    return printable(below_here(path))


if __name__ == "__main__":
    sys.exit(program.run(main))
