"""Read command lines of ``resnet_exp`` and its sibling commands, and write ones that users can copy.

The words of a command line are its arguments, without the name of the program.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Sequence
from typing import NoReturn, cast

from omegaconf import ListConfig, OmegaConf

from resnet_exp.config.overrides import hints
from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import not_an_option

PROGRAM = "resnet_exp"


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Hydra's options, which may stand anywhere among the overrides.

    Raises:
        RequestError: an option is unknown, or its value is wrong.
    """
    # Imported late: ranks read the words of a command, without needing Hydra.
    from resnet_exp.config.hydra_versions import args_parser

    def refuse(message: str) -> NoReturn:
        raise RequestError(f"{message}{' ' if message.endswith('?') else '; '}--help shows what there is")

    parser = args_parser()
    parser.error = refuse
    parsed, rest = parser.parse_known_args(words)
    if parsed.experimental_rerun is not None:
        refuse("--experimental-rerun is not an option")
    if unknown := [word for word in rest if word.startswith("-")]:
        name = unknown[0].lstrip("-").partition("=")[0].replace("-", "_")
        if use := name if name in hints.known_keys() else hints.for_key(name):
            raise RequestError(f"{unknown[0]} is not an option: settings are words such as ssr=0.5; use {use}")
        refuse(not_an_option(unknown[0], [name for action in parser._actions for name in action.option_strings]))
    # argparse accepts only the first group of overrides; it would report those after `-m` as unknown.
    parsed.overrides += rest
    return parsed


def command_of(words: Iterable[str]) -> str:
    """The command line that runs `words`."""
    return shlex.join([PROGRAM, *words])


def words_of(command: str) -> list[str]:
    """The words of a command line of `command_of`; runs of earlier versions have ``python -m`` before the program."""
    words = shlex.split(command)
    return words[words.index(PROGRAM) + 1 :] if words else []


def options_here(words: Sequence[str]) -> list[str]:
    """Options that make the overrides of one run a command of its own, on this machine."""
    files = _files(words)
    # Otherwise a file that defines a sweep would start that sweep.
    return [*files, *(["hydra.mode=RUN"] if files else [])]


def options_on_slurm(words: Sequence[str]) -> list[str]:
    """Options that submit one run as a sweep, without a name so that it does not replace the planned sweep."""
    files = _files(words)
    hydra = [word for word in parse(words).overrides if word.lstrip("+~").startswith("hydra")]
    return [*files, "-m", *hydra, *(["hydra.sweeper.grids=null", "sweep=null"] if files else [])]


def as_typed(overrides: Sequence[str]) -> list[str]:
    """Overrides that Hydra keeps, as they were typed: reading them one by one would resolve ``${oc.env:NAME}``."""
    assert isinstance(overrides, ListConfig)  # Hydra's type is of its fields, not of what they hold
    typed = cast(list[str], OmegaConf.to_container(overrides, resolve=False))
    return [str(word) for word in typed]


def _files(words: Sequence[str]) -> list[str]:
    """The options that name files of configuration."""
    parsed = parse(words)
    named = [(f"-c{what[0]}", getattr(parsed, f"config_{what}")) for what in ("path", "dir", "name")]
    return [word for option, value in named if value is not None for word in (option, value)]


def take_words(words: Sequence[str], *names: str) -> tuple[dict[str, str], list[str]]:
    """The values of ``name=value`` words that are not Hydra's, by name, and the other words."""
    taken = {word.partition("=")[0]: word.partition("=")[2] for word in words if word.partition("=")[0] in names}
    return taken, [word for word in words if word.partition("=")[0] not in names]
