"""Options of commands and their help, in the width of the terminal."""

from __future__ import annotations

import argparse
import textwrap
from typing import NoReturn

from resnet_exp.core.errors import EXIT_BAD_REQUEST


class Parser(argparse.ArgumentParser):
    """Options of a command; what is wrong with them is said in one line."""

    def error(self, message: str) -> NoReturn:
        """End the program."""
        self.exit(EXIT_BAD_REQUEST, f"{message}; --help shows what there is\n")


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
