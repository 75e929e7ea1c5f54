"""What a shell shows after TAB: commands, options, and what Hydra knows of settings.

The shell runs the script that Hydra installs (``-sc install=bash``), which asks with ``-sc query=bash`` and the line in
``COMP_LINE``.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Sequence

from resnet_exp.commands.table import COMMANDS, module_of
from resnet_exp.core.errors import EXIT_DONE
from resnet_exp.core.terminal import console

LINE = "COMP_LINE"


def is_query(words: Sequence[str]) -> bool:
    """Whether a shell asks what can follow."""
    return len(words) == 2 and words[0] in ("-sc", "--shell_completion") and words[1].startswith("query=")


def answer(ask_hydra: Callable[[], int]) -> int:
    """Print what can follow on the line of ``COMP_LINE``; `ask_hydra` prints Hydra's part. Returns the exit code."""
    program, *words = _words(os.environ.get(LINE, ""))
    command = words[0] if len(words) > 1 and words[0] in COMMANDS else None
    if command is None:
        if len(words) == 1:
            _say(COMMANDS, words[0])
        return ask_hydra()
    module = module_of(command, ())
    if hasattr(module, "parser"):
        return _options(module.parser())
    _say(getattr(module, "WORDS", ()), words[-1])
    os.environ[LINE] = " ".join([program, *words[1:]])
    return ask_hydra()


def _words(line: str) -> list[str]:
    """The words of a line; the last one is what is being typed, empty after a space."""
    return [*line.split(), *([""] if line.endswith(" ") or not line else [])]


def _say(candidates: Iterable[str], begun: str) -> None:
    if found := [word for word in candidates if word.startswith(begun)]:
        console.say("\n".join(found))


def _options(parser: object) -> int:
    """Have argcomplete answer from the options of a command."""
    import argcomplete

    line, found = os.environ[LINE], io.StringIO()
    # What argcomplete's own shell script sets; the 2 leaves out the name of the program.
    os.environ |= {"_ARGCOMPLETE": "2", "_ARGCOMPLETE_IFS": "\n", "COMP_POINT": str(len(line.encode()))}
    argcomplete.autocomplete(parser, exit_method=_go_on, output_stream=found)  # pyright: ignore[reportArgumentType]
    # It ends the only candidate with a space, which fish would take for a part of it.
    console.say("\n".join(map(str.rstrip, found.getvalue().split("\n"))))
    return EXIT_DONE


def _go_on(code: int = 0) -> None:
    """Do not end the process, as argcomplete otherwise does."""
