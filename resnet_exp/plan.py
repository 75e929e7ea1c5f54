"""``resnet_exp plan ...``: what a run or a sweep would do, how long, for how much; starts nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from resnet_exp import cli
from resnet_exp.config.overrides import command_line
from resnet_exp.config.schema import LauncherConfig
from resnet_exp.core import paths
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, RequestError
from resnet_exp.core.terminal import console, help_text, program
from resnet_exp.planning import target_accuracy
from resnet_exp.planning.run_plan import PICTURE, TARGET, show_run, show_sweep, show_target
from resnet_exp.reporting.curves import output_path
from resnet_exp.sweep.planned import Sweep

HELP = """\
What a run or a sweep would do, how long and for how much. Starts nothing, writes nothing, and needs neither the data
nor the GPUs.

  resnet_exp plan recipe=mild ssr=0.36 dataset=imagenet dataset.dir=PATH hardware=p4d.24xlarge
  resnet_exp plan recipe=mild ssr=0.36 picture=mild.svg     draws image size and learning rate into a file
  resnet_exp plan -m recipe=mild,hot ssr=0.1,0.2 seed=17,18,19
  resnet_exp plan target_top1=0.766 [dataset=imagenet]      the cheapest and the fastest known way there

To plan a command line, put plan after resnet_exp in it. resnet_exp --help shows its options.

Times cover training only, without evaluation and start-up. Each is based on the first of these that exists:
  1. finished runs of the same kind in runs_dir: their mean images/s;
  2. published speeds by image size on the same kind of GPUs, from the host with the closest number of threads.
Otherwise the time is unknown, and the plan shows a command that measures it in a few epochs.
A cost is that time at the price of hardware=NAME on the date shown.

Exit code: 0 planned, 2 the request is wrong."""

# What a run has no such words for; a shell completes them.
WORDS = (f"{PICTURE}=", f"{TARGET}=")
# What chooses the runs that `TARGET` looks at.
LOOKED_AT = ("dataset", "dataset.dir", "runs_dir")


def main(words: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    words = sys.argv[1:] if words is None else words
    if any(word in ("-h", "--help") for word in words):
        console.say(help_text.wrapped(HELP, console.width()))
        return EXIT_DONE
    own, words = command_line.take_words(words, PICTURE, TARGET)
    try:
        if TARGET in own:
            goal = target_accuracy.parse_target(own[TARGET])
            if PICTURE in own:
                raise RequestError(
                    f"{PICTURE}= draws one run and {TARGET}= looks at all of them; leave out one of the two"
                )
            _refuse_idle_beside_target(words)
            return cli.run_hydra(words, lambda config: show_target(config, goal), _refuse_target_of_sweep, writes=False)
        picture = None
        if PICTURE in own:
            picture = output_path(paths.expanded(PICTURE, own[PICTURE]), f"{PICTURE}={own[PICTURE]}")
    except RequestError as error:
        console.complain(str(error))
        return EXIT_BAD_REQUEST
    of_sweep = partial(show_sweep, words=words) if picture is None else _refuse_picture_of_sweep
    return cli.run_hydra(words, lambda config: show_run(config, picture), of_sweep, writes=False)


def _refuse_idle_beside_target(words: Sequence[str]) -> None:
    for word in command_line.parse(words).overrides:
        if word.partition("=")[0] not in LOOKED_AT:
            raise RequestError(
                f"{word} has no effect with {TARGET}=, which looks at all runs; it takes {', '.join(LOOKED_AT)}"
            )


def _refuse_target_of_sweep(sweep: Sweep, launcher: LauncherConfig) -> int:
    raise RequestError(f"{TARGET}= looks at all runs of runs_dir and is not for a sweep; leave out -m")


def _refuse_picture_of_sweep(sweep: Sweep, launcher: LauncherConfig) -> int:
    raise RequestError(f"{PICTURE}= draws one run; leave out -m, or plan one of its runs by itself")


if __name__ == "__main__":
    sys.exit(program.run(main))
