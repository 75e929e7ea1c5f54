"""Options of commands and their help, in the width of the terminal."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any, NoReturn

from resnet_exp.core.errors import EXIT_BAD_REQUEST
from resnet_exp.core.terminal.text import not_an_option, one_of, printable


class Parser(argparse.ArgumentParser):
    """Options of a command; what is wrong with them is said in one line."""

    def error(self, message: str) -> NoReturn:
        """End the program."""
        separator = " " if message.endswith("?") else "; "
        self.exit(EXIT_BAD_REQUEST, f"{message}{separator}--help shows what there is\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What argparse 3.10 to 3.14 has, without unknown options: a command of `data` passes them to its parent."""
        options, rest = super().parse_known_args(args, namespace)
        if unknown := next((word for word in rest if word.startswith("-")), None):
            self.error(not_an_option(unknown, list(self._option_string_actions)))
        return options, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        # argparse lists the choices; only from Python 3.14 on can it name the near one.
        if action.choices is not None and value not in action.choices:
            typed = " ".join([self.prog, *action.option_strings[-1:], printable(value)])
            raise argparse.ArgumentError(None, f"{typed} is unknown; {one_of(value, list(action.choices))}")


def parser(name: str, description: str | None, epilog: str | None = None) -> Parser:
    """The options of ``resnet_exp NAME``; `description` may be the docstring of its module."""
    text = (description or "").replace("``", "")
    return Parser(f"resnet_exp {name}", description=text, epilog=epilog, formatter_class=_Help)


class _Help(argparse.HelpFormatter):
    """Help with paragraphs as wide as the terminal."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n\n".join(fill(paragraph, width, indent) for paragraph in text.strip().split("\n\n"))


def wrapped(text: str, width: int | None) -> str:
    """A help text for a terminal of `width` columns, None for none: lines that are longer go on below, indented."""
    if width is None:
        return text
    return "\n".join(_folded(line, width) for line in text.split("\n"))


def _folded(line: str, width: int) -> str:
    fold = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False, replace_whitespace=False)
    fold.subsequent_indent = " " * (len(line) - len(line.lstrip()) + 4)
    return "\n".join(fold.wrap(line))
