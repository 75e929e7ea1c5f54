"""Is this machine ready for a run? ``resnet_exp doctor WORDS``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from resnet_exp import cli
from resnet_exp.config.schema import LauncherConfig, RunConfig
from resnet_exp.core.errors import EXIT_DONE, EXIT_FAILED
from resnet_exp.core.terminal import console, help_text, program
from resnet_exp.core.terminal.finding import lines_of
from resnet_exp.diagnosis.examine import examine, verdict
from resnet_exp.diagnosis.subject import Subject
from resnet_exp.sweep.planned import Sweep

HELP = """\
Says whether this machine is ready for a run or a sweep, and what to do where it is not. Trains nothing.

  resnet_exp doctor                                        of a run with nothing else, on the digits
  resnet_exp doctor recipe=mild ssr=0.36 dataset=imagenet dataset.dir=PATH hardware=p4d.24xlarge
  resnet_exp doctor -m ssr=0.1,0.2 hydra/launcher=slurm    on a login node: would SLURM take the sweep?
  srun --gpus=8 resnet_exp doctor hardware=a100x8          in a job: the machine that the run will have

  --json    one JSON object a finding: check, state (ok, note, bad), found, fix

It looks at GPUs, driver and torch, /dev/shm, limits, cores, clock, images and manifests, room and speed of the disks
(for a second each, with a nameless file), SLURM, W&B's login, and has the ranks sum up gradients. Of a sweep it looks
at the first run. Every run makes the cheap part of it before it starts.

BAD: the run would not start, or not end. NOTE: it would, but slower or less safely than it could.

Exit code: 0 ready, 1 not ready, 2 the request is wrong."""
JSON = "--json"
WORDS = (JSON,)


def main(words: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    words = sys.argv[1:] if words is None else words
    if any(word in ("-h", "--help") for word in words):
        console.say(help_text.wrapped(HELP, console.width()))
        return EXIT_DONE
    show = _show_json if JSON in words else _show_text

    def of_run(config: RunConfig) -> int:
        return show(Subject(config))

    def of_sweep(sweep: Sweep, launcher: LauncherConfig) -> int:
        return show(Subject(sweep.runs[0].config, sweep, launcher))

    return cli.run_hydra([word for word in words if word != JSON], of_run, of_sweep, writes=False)


def _show_text(subject: Subject) -> int:
    findings = []
    console.say(subject.config.folder.path.name)
    for finding in examine(subject):
        console.say(lines_of(finding, console.width()))
        findings.append(finding)
    console.say(verdict(findings))
    return EXIT_FAILED if any(finding.state == "bad" for finding in findings) else EXIT_DONE


def _show_json(subject: Subject) -> int:
    code = EXIT_DONE
    for finding in examine(subject):
        console.say(json.dumps(asdict(finding)))
        code = EXIT_FAILED if finding.state == "bad" else code
    return code


if __name__ == "__main__":
    sys.exit(program.run(main))
