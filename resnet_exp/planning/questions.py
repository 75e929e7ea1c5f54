"""Questions about all known runs, which a plan answers in place of one run: ``target_top1=`` and ``budget=``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from resnet_exp.config.overrides import command_line
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.budget import parse_budget
from resnet_exp.core.errors import RequestError
from resnet_exp.planning.best_in_budget import BUDGET, ways_within
from resnet_exp.planning.known_ways import Answer, refuse_idle
from resnet_exp.planning.target_accuracy import TARGET, parse_target, ways_to


@dataclass(frozen=True)
class Question:
    """A question: the word that asks it, and what answers it for the data set and hardware of a configuration."""

    name: str
    answer: Callable[[RunConfig], Answer]


def take_question(words: Sequence[str]) -> tuple[Question | None, list[str]]:
    """The question in a command line, None if there is none; and the other words.

    Raises:
        RequestError: its value is wrong, there are two, or a word beside it would have no effect.
    """
    own, words = command_line.take_words(words, TARGET, BUDGET)
    if not own:
        return None, words
    if len(own) > 1:
        raise RequestError(f"{TARGET}= and {BUDGET}= are two questions; leave out one of the two")
    ((name, text),) = own.items()
    refuse_idle(words, name)
    if name == TARGET:
        return Question(name, partial(ways_to, parse_target(text))), words
    return Question(name, partial(ways_within, parse_budget(name, text))), words
