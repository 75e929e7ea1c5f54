"""The program ``resnet_exp``: ``resnet_exp COMMAND WORDS``, or ``python -m resnet_exp``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from resnet_exp.commands import completion, table
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, RequestError
from resnet_exp.core.terminal import console, help_text, program
from resnet_exp.runs.command import VERSION, version_line

HELP = ("-h", "--help")


def main() -> int:
    """The program ``resnet_exp``; returns its exit code."""
    return program.run(_run)


def _run() -> int:
    words = sys.argv[1:]
    if completion.is_query(words):
        return completion.answer(_train)
    if VERSION in words:
        console.say(version_line())
        return EXIT_DONE
    try:
        name, words = table.split(words)
        if name is None:
            if words and words[0] in HELP:
                console.say(help_text.wrapped(f"{table.listing()}\n", console.width()))
            return _train(words)
        return table.module_of(name, words).main(words)
    except RequestError as error:
        console.complain(str(error))
        return EXIT_BAD_REQUEST


def _train(words: Sequence[str] | None = None) -> int:
    # Imported late: commands that read finished runs need no Hydra.
    from resnet_exp import cli

    return cli.main(words)


if __name__ == "__main__":
    sys.exit(main())
