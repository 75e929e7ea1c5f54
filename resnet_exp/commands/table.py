"""The list of all commands: ``resnet_exp NAME`` is ``python -m resnet_exp.NAME``."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import one_of, printable

TRAIN = "train"
# Of each command, what it does. Its module has `main`, which takes the words after the command; and for completion
# `parser`, if it has options, or else `WORDS`, its own words beside those of a run.
COMMANDS = {
    TRAIN: "train a run, or with -m a sweep; what resnet_exp does without a command",
    "plan": "what a run or a sweep would do, how long, for how much; starts nothing",
    "doctor": "is this machine ready for a run, and what to do if not",
    "data": "image folders: split photographs, extract ImageNet's tars, check a folder",
    "convert": "write FFCV files or MDS shards of an image folder ahead of its first run",
    "pull": "bring runs from their mirror in an object store into a folder of runs",
    "status": "every run of a folder: planned, queued, running, done, failed (why)",
    "report": "accuracy, time and cost of finished runs: tables, pictures, a page to explore",
    "evaluate": "top-1, top-5 and calibration of a model, on its run's images or on others",
    "predict": "the classes of photographs, by a trained model",
    "export": "a trained model for other programs, checked: weights, ONNX, torch.export, a model card",
    "plot": "learning curves of run folders",
    "clean": "give disk space back: checkpoints of finished runs, superseded conversions, old caches",
    "dashboard": "a workspace and a report on Weights & Biases",
}
# Letters that no command begins with, but settings and options do.
NO_COMMAND = ("-", "+", "~")


def split(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The command that a line begins with, None if it begins with a setting or an option; and the words after it.

    Raises:
        RequestError: the first word is neither.
    """
    if not words or "=" in words[0] or words[0].startswith(NO_COMMAND):
        return None, list(words)
    if words[0] not in COMMANDS:
        _refuse(words[0])
    return words[0], list(words[1:])


def module_of(name: str, words: Sequence[str]) -> ModuleType:
    """The module of a command; ``train RUN_DIR`` is another one than ``train recipe=mild``."""
    given_run = len(words) == 1 and "=" not in words[0] and not words[0].startswith(NO_COMMAND)
    own = {TRAIN: "resnet_exp.train" if given_run else "resnet_exp.cli", "data": "resnet_exp.data.__main__"}
    return importlib.import_module(own.get(name, f"resnet_exp.{name}"))


def listing() -> str:
    """The commands with a line for each."""
    width = max(map(len, COMMANDS))
    lines = (f"  {name:<{width}}  {about}" for name, about in COMMANDS.items())
    return "\n".join(
        [
            "resnet_exp COMMAND ...",
            "",
            *lines,
            "",
            "resnet_exp COMMAND --help says more of each, resnet_exp --version which one this is.",
        ]
    )


def _refuse(word: str) -> NoReturn:
    shown = printable(word)
    if (Path(word) / "config.yaml").is_file():
        raise RequestError(f"{shown} is a run folder, not a command; use resnet_exp {TRAIN} {shown}")
    if Path(word).is_dir():
        raise RequestError(f"{shown} is a folder, not a command; use dataset.dir={shown}")
    raise RequestError(f"{shown} is not a command; {one_of(word, list(COMMANDS), ', or settings (ssr=0.5)')}")
