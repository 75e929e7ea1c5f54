"""Command lines that users can copy: what this one asks for, run by run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable

from hydra._internal.utils import get_args_parser


def command_of(words: Iterable[str]) -> str:
    """The command line that runs `words`."""
    return shlex.join(["python", "-m", "resnet_exp", *words])


def options() -> list[str]:
    """Words that let the overrides of one run of this command line be carried out by themselves, here."""
    # Else a file that is a sweep would sweep.
    return [*files(), *(["hydra.mode=RUN"] if files() else [])]


def options_on_slurm() -> list[str]:
    """The same as a sweep of one run, of no name so that it does not take the place of the planned one."""
    given, _ = get_args_parser().parse_known_args()
    hydra = [word for word in given.overrides if word.lstrip("+~").startswith("hydra")]
    return [*files(), "-m", *hydra, *(["hydra.sweeper.grids=null", "sweep=null"] if files() else [])]


def files() -> list[str]:
    """The options of this command line that name files of configuration."""
    given, _ = get_args_parser().parse_known_args()
    named = [(f"-c{what[0]}", getattr(given, f"config_{what}")) for what in ("path", "dir", "name")]
    return [word for option, value in named if value is not None for word in (option, value)]


def take_words(*names: str) -> dict[str, str]:
    """Take ``name=value`` words that are not Hydra's off this process's command line."""
    found = {name: word.partition("=")[2] for name in names for word in sys.argv[1:] if word.startswith(f"{name}=")}
    sys.argv[1:] = [word for word in sys.argv[1:] if word.partition("=")[0] not in names]
    return found
