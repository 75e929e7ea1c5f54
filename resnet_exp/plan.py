"""``resnet_exp plan ...``: what a run or a sweep would do, how long, for how much; starts nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from resnet_exp import cli
from resnet_exp.config.overrides import command_line
from resnet_exp.config.schema import LauncherConfig, RunConfig
from resnet_exp.core import paths
from resnet_exp.core.budget import Budget
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, RequestError
from resnet_exp.core.terminal import console, help_text, program
from resnet_exp.planning import schedule_text
from resnet_exp.planning.best_in_budget import BUDGET
from resnet_exp.planning.export.request import WRITE, take_export
from resnet_exp.planning.export.sky import cheapest_within
from resnet_exp.planning.export.work import Written
from resnet_exp.planning.lines import PlannedText
from resnet_exp.planning.questions import take_question
from resnet_exp.planning.run_plan import plan_run
from resnet_exp.planning.sweep_plan import plan_sweep
from resnet_exp.planning.target_accuracy import TARGET
from resnet_exp.reporting.curves import output_path, save
from resnet_exp.sweep.planned import Sweep

PICTURE = "picture"
HELP = """\
What a run or a sweep would do, how long and for how much. Starts nothing, and needs neither the data
nor the GPUs.

  resnet_exp plan recipe=mild ssr=0.36 dataset=imagenet dataset.dir=PATH hardware=p4d.24xlarge
  resnet_exp plan recipe=mild ssr=0.36 picture=mild.svg     draws image size and learning rate into a file
  resnet_exp plan -m recipe=mild,hot ssr=0.1,0.2 seed=17,18,19
  resnet_exp plan target_top1=0.766 [dataset=imagenet]      the cheapest and the fastest known way there
  resnet_exp plan budget=10min [hardware=p4d.24xlarge]      the best known top-1 for it; 'budget=$10' too

With --write KIND FILE, a file that starts the planned run or sweep elsewhere:
  resnet_exp plan ... --write slurm job.sh                    for sbatch, without submitit
  resnet_exp plan ... --write compose compose.yaml [--image NAME]   for Docker or Podman on this machine
  resnet_exp plan ... --write k8s job.yaml --image NAME       a Kubernetes Job, an index for each run
  resnet_exp plan ... --write sky task.yaml --bucket NAME [--data URL] [--image NAME] [budget=10usd]
    for SkyPilot: spot machines with recovery, runs in a bucket; budget= chooses the cheapest machine that keeps to it

To plan a command line, put plan after resnet_exp in it. resnet_exp --help shows its options.

Times cover training only, without evaluation and start-up. Each is based on the first of these that exists:
  1. finished runs of the same kind in runs_dir: their mean images/s;
  2. published speeds by image size on the same kind of GPUs, from the host with the closest number of threads.
Otherwise the time is unknown, and the plan shows a command that measures it in a few epochs.
A cost is that time at the price of hardware=NAME on the date shown.

Exit code: 0 planned, 2 the request is wrong."""

# What a run has no such words for; a shell completes them.
WORDS = (f"{PICTURE}=", f"{TARGET}=", f"{BUDGET}=", WRITE)


def main(words: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    words = sys.argv[1:] if words is None else words
    if any(word in ("-h", "--help") for word in words):
        console.say(help_text.wrapped(HELP, console.width()))
        return EXIT_DONE
    try:
        export, words = take_export(words)
        if export is not None and export.budget is not None:
            words = [*words, f"hardware={_cheapest(export.budget, words)}"]
        own, words = command_line.take_words(words, PICTURE)
        picture = None
        if PICTURE in own:
            if asked := [name for word in words if (name := word.partition("=")[0]) in (TARGET, BUDGET)]:
                raise RequestError(
                    f"{PICTURE}= draws one run and {asked[0]}= looks at all of them; leave out one of the two"
                )
            picture = output_path(paths.expanded(PICTURE, own[PICTURE]), f"{PICTURE}={own[PICTURE]}")
        question, words = take_question(words)
        if question is not None and export is not None:
            raise RequestError(f"{question.name}= looks at all runs, and {WRITE} is for one; leave out one of the two")
    except RequestError as error:
        console.complain(str(error))
        return EXIT_BAD_REQUEST

    def of_sweep(sweep: Sweep, launcher: LauncherConfig) -> int:
        if question is not None:
            raise RequestError(f"{question.name}= looks at all runs of runs_dir and is not for a sweep; leave out -m")
        if picture is not None:
            raise RequestError(f"{PICTURE}= draws one run; leave out -m, or plan one of its runs by itself")
        written = export and export.write(sweep, words, launcher)
        return _show(plan_sweep(sweep, launcher, words), written)

    def of_run(config: RunConfig) -> int:
        written = export and export.write(config, words, None)
        code = _show(plan_run(config) if question is None else question.answer(config), written)
        if picture is not None:
            save(schedule_text.draw(config), picture, f"{PICTURE}={picture}")
            console.say(f"wrote {picture}")
        return code

    return cli.run_hydra(words, of_run, of_sweep, writes=False)


def _cheapest(budget: Budget, words: Sequence[str]) -> str:
    planned = cli.compose(words)
    configs = [planned] if isinstance(planned, RunConfig) else [run.config for run in planned[0].runs]
    return cheapest_within(budget, configs).name


def _show(plan: PlannedText, written: Written | None = None) -> int:
    console.say(plan.text(console.width()))
    if written is not None:
        for need in written.needs:
            console.say(f"needs: {need}")
        console.say(f"written; start it with: {written.start}")
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(program.run(main))
