"""A trained model for other programs: ``resnet_exp export MODEL [-o DIR]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from resnet_exp import api
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, RequestError, RunFailed
from resnet_exp.core.paths import user_path
from resnet_exp.core.terminal import console, help_text, program
from resnet_exp.core.terminal.text import one_of

FORMATS = ("safetensors", "onnx", "pt2")
EPILOG = """\
Writes model.safetensors with its metadata, model.py (the network in plain torch), model.onnx, model.pt2 (torch.export),
config.json, and README.md, a model card for a hub. Each file is loaded again and evaluated on the images of the run,
or on those that KEY=VALUE name: dataset, data, hardware. Needs pip install 'resnet_exp[export]'.

exit code: 0 written, 1 a file gives other answers than the network, 2 the request is wrong"""


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = parser().parse_args(arguments)
    folder = options.output or _default(user_path(options.model))
    try:
        found = api.export(options.model, folder, *options.words, formats=options.formats, check=options.check)
    except (RequestError, RunFailed) as error:
        console.complain(str(error))
        return EXIT_BAD_REQUEST if isinstance(error, RequestError) else EXIT_FAILED
    console.say(f"wrote {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    for name, one in found.items():
        console.say(f"  {name:<12}top-1 {one.top1:.2%} of {one.images:,} images, {one.changed} answers changed")
    return EXIT_DONE


def _default(model: Path) -> Path:
    return (model if model.is_dir() else model.parent) / "export"


def parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = help_text.parser("export", __doc__, EPILOG)
    parser.add_argument("model", metavar="MODEL", help="a run folder, a checkpoint in one, or a file of weights")
    parser.add_argument("words", nargs="*", default=[], metavar="KEY=VALUE", help="other images to check the files on")
    parser.add_argument("-o", "--output", type=user_path, metavar="DIR", help="where to write (default: MODEL/export)")
    parser.add_argument(
        "--formats", type=_formats, default=FORMATS, metavar="NAMES", help=f"of {','.join(FORMATS)} (default: all)"
    )
    parser.add_argument("--no-check", dest="check", action="store_false", help="do not evaluate the files")
    return parser


def _formats(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if wrong := next((name for name in names if name not in FORMATS), None):
        raise argparse.ArgumentTypeError(f"{wrong} is not a format; {one_of(wrong, FORMATS)}")
    return names


if __name__ == "__main__":
    sys.exit(program.run(main))
