"""A setting that only some runs of a sweep have, such as ``algorithms.randaugment.severity`` of ``recipe=hot``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from resnet_exp.core.errors import RequestError
from resnet_exp.sweep.compose import RunComposer
from resnet_exp.sweep.grid import GRIDS

REFUSED = (HydraException, OmegaConfBaseException, RequestError)


def explain_partial(
    composer: RunComposer, jobs: Sequence[Sequence[str]], refused: Sequence[str], why: str
) -> str | None:
    """The line for a run that is refused for a word that other runs of the sweep can have; None if it is not such.

    Args:
        composer: of the sweep.
        jobs: overrides of each run.
        refused: those of the run that is refused.
        why: the error of that run alone.
    """
    word = _word_too_many(composer, jobs, refused)
    group = _varied_group(composer, jobs)
    if word is None or group is None:
        return None
    examples = {_word_of(job, group): job for job in reversed(jobs) if _word_of(job, _key(word)) == word}
    options = [option for option in reversed(examples) if option is not None]
    having = [option for option in options if _composes(composer, examples[option])]
    if not having:
        return None
    lacking = [option for option in options if option not in having]
    words = list(dict.fromkeys(str(_word_of(job, _key(word))) for job in jobs))
    way = _way(composer, group, words, having, lacking)
    return f"{word} is not for {', '.join(lacking)}: {why.partition('; ')[0]}; {way}"


def _way(composer: RunComposer, group: str, words: Sequence[str], having: Sequence[str], lacking: Sequence[str]) -> str:
    """How to give the words to the runs alone that can have them."""
    sweeper = composer.master.hydra.sweeper
    if words[0].startswith("~") or sweeper.get("grids") or sweeper.get("params"):
        return f"write it into an entry of {GRIDS} of its own, with {', '.join(having)} (docs/sweeps.md)"
    entries = [f"{{{_entry(lacking)}}}", f"{{{_entry(having)}, {_entry(words)}}}"]
    grids = shlex.quote(f"{GRIDS}=[{', '.join(entries)}]")
    return f"in place of it and of {group}= write {grids}"


def _entry(words: Sequence[str]) -> str:
    """Words that set one key as an entry of a mapping."""
    key = words[0].partition("=")[0]
    values = [word.partition("=")[2] for word in words]
    return f"{key}: {values[0]}" if len(values) == 1 else f'{key}: "{",".join(values)}"'


def _key(word: str) -> str:
    return word.partition("=")[0]


def _word_too_many(composer: RunComposer, jobs: Sequence[Sequence[str]], refused: Sequence[str]) -> str | None:
    """The word without which the refused run can be composed; all runs have one with its key."""
    for word in refused:
        shared = all(_word_of(job, _key(word)) for job in jobs) and not composer.is_group(_key(word).lstrip("+~"))
        if shared and _composes(composer, [one for one in refused if one != word]):
            return word
    return None


def _varied_group(composer: RunComposer, jobs: Sequence[Sequence[str]]) -> str | None:
    """The group whose option differs between the runs; the first, if there are several."""
    groups = [key for key in map(_key, jobs[0]) if composer.is_group(key)]
    return next((key for key in groups if len({_word_of(job, key) for job in jobs}) > 1), None)


def _word_of(job: Sequence[str], key: str) -> str | None:
    return next((word for word in job if _key(word) == key), None)


def _composes(composer: RunComposer, overrides: Sequence[str]) -> bool:
    try:
        composer.compose(overrides)
    except REFUSED:
        return False
    return True
