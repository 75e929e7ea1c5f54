"""What ``--write KIND FILE`` and its options ask for."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from resnet_exp.config.overrides import command_line
from resnet_exp.config.schema import LauncherConfig, RunConfig, SlurmLauncherConfig
from resnet_exp.core.budget import Budget, parse_budget
from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import write_text, writing
from resnet_exp.core.paths import user_path
from resnet_exp.planning.best_in_budget import BUDGET
from resnet_exp.planning.export import compose, kubernetes, sbatch, sky
from resnet_exp.planning.export.sky import Cloud
from resnet_exp.planning.export.work import Work, Written, is_other, work_of
from resnet_exp.sweep.planned import Sweep

WRITE = "--write"
SKY, KUBERNETES, SLURM, COMPOSE = "sky", "k8s", "slurm", "compose"
# Of each kind, the options that it has.
KINDS = {SKY: ("image", "bucket", "data"), KUBERNETES: ("image",), SLURM: (), COMPOSE: ("image",)}


@dataclass(frozen=True)
class Export:
    """A file to write.

    Attributes:
        kind: one of `KINDS`.
        path: of the file.
        command: that writes it.
        cloud: image, buckets and budget, as far as the kind has them.
    """

    kind: str
    path: Path
    command: str
    cloud: Cloud

    @property
    def budget(self) -> Budget | None:
        """What a machine is to be chosen by."""
        return self.cloud.budget

    def write(self, planned: RunConfig | Sweep, words: Sequence[str], launcher: LauncherConfig | None) -> Written:
        """Write the file, whole or not at all.

        Args:
            planned: the configuration that `words` stand for.
            words: of the command line, without those of the plan.
            launcher: of a sweep.

        Raises:
            RequestError: that kind of file cannot do it, or it cannot be written.
        """
        written = self._written(work_of(planned, words), launcher)
        with writing(f"{WRITE} {self.kind} {self.path}", "give another file"):
            write_text(self.path, written.text)
        return written

    def _written(self, work: Work, launcher: LauncherConfig | None) -> Written:
        path = str(self.path)
        if self.kind == SKY:
            return sky.write_task(work, path, self.command, self.cloud)
        if self.kind == KUBERNETES:
            return kubernetes.write_job(work, path, self.command, self.cloud.image)
        if self.kind == COMPOSE:
            return compose.write_compose(work, path, self.command, self.cloud.image)
        if not isinstance(launcher, SlurmLauncherConfig):
            raise RequestError(f"hydra/launcher={getattr(launcher, 'name', None)} has no SLURM; leave it out")
        return sbatch.write_script(work, path, self.command, launcher)


def take_export(words: Sequence[str]) -> tuple[Export | None, list[str]]:
    """The file that a command line asks for, None if it asks for none; and the words without those of the file.

    Raises:
        RequestError: it asks for something that there is not.
    """
    options, rest = _parser().parse_known_args(list(words))
    given = [name for name in ("image", "bucket", "data") if getattr(options, name) is not None]
    if options.write is None:
        if given:
            raise RequestError(f"--{given[0]} is for {WRITE} KIND FILE, which is not there")
        return None, list(words)
    kind, path = options.write
    if kind not in KINDS:
        raise RequestError(f"{WRITE} {kind} is not known; use {WRITE} {'|'.join(KINDS)} FILE")
    if wrong := [name for name in given if name not in KINDS[kind]]:
        raise RequestError(f"--{wrong[0]} is not for {WRITE} {kind}; leave it out")
    budget = None
    if kind == SKY:
        taken, rest = command_line.take_words(rest, BUDGET)
        budget = parse_budget(BUDGET, taken[BUDGET]) if taken else None
        if budget is not None and (named := [word for word in rest if word.startswith("hardware=")]):
            raise RequestError(f"{BUDGET}= chooses the machine, and {named[0]} names one; leave out one of the two")
    if kind == SLURM:
        rest = sbatch.words_for_slurm(rest)
    command = command_line.command_of(["plan", *words])
    cloud = Cloud(options.bucket, options.data, options.image, budget)
    return Export(kind, _file(f"{WRITE} {kind}", path), command, cloud), rest


def _file(name: str, text: str) -> Path:
    path = user_path(text)
    if not os.path.isdir(path.parent):
        raise RequestError(f"{name} {text}: {path.parent} is not a folder")
    if os.path.isdir(path):
        raise RequestError(f"{name} {text} is a folder; give a file")
    with writing(f"{name} {text}", "give another file"):
        if is_other(path):
            raise RequestError(f"{name} {text} is there, and not from this command; give another file")
    return path


def _parser() -> argparse.ArgumentParser:
    def refuse(message: str) -> NoReturn:
        raise RequestError(f"{message}; it is {WRITE} {'|'.join(KINDS)} FILE")

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(WRITE, nargs=2)
    for name in ("image", "bucket", "data"):
        parser.add_argument(f"--{name}")
    parser.error = refuse
    return parser
