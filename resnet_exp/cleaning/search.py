"""Everything that can be removed, and what is left alone since a run uses it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from resnet_exp.cleaning import caches, conversions
from resnet_exp.cleaning.item import IN_USE, Item, is_open, open_files
from resnet_exp.cleaning.runs import look_at_runs
from resnet_exp.core.locks import is_locked
from resnet_exp.core.machine import slurm
from resnet_exp.runs.states import Scheduler

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Found:
    """Items to remove, and lines about what is left alone."""

    items: list[Item]
    left_alone: list[str]


def find_items(folders: list[Path], more_caches: list[Path], days: float, scheduler: Scheduler = slurm) -> Found:
    """Look for what can be removed; removes nothing.

    Args:
        folders: folders of runs.
        more_caches: caches beside those that their runs name.
        scheduler: as in `resnet_exp.runs.states.collect_states`.
        days: caches and partial conversions that were used in the last so many days stay.

    Raises:
        RequestError: there is no such folder.
    """
    runs = look_at_runs(folders, scheduler)
    found, left_alone = list(runs.checkpoints), list[str]()
    for cache in sorted({path.resolve() for path in (*runs.caches, *more_caches)}):
        busy = next((state for place, state in runs.busy.items() if place.resolve() == cache), None)
        if busy is not None:
            left_alone.append(f"{cache}: {busy.path} is {busy.kind}")
            continue
        found += conversions.superseded(cache)
        found += _unused(days, chain(conversions.partial(cache), caches.of_cache(cache)))
    if runs.busy:
        state = next(iter(runs.busy.values()))
        left_alone.append(f"compiled code of this user: {state.path} is {state.kind}")
    else:
        found += _unused(days, caches.of_user())
    return Found(list(_idle(found, left_alone.append)), left_alone)


def _unused(days: float, items: Iterator[Item]) -> Iterator[Item]:
    return (item for item in items if time.time() - item.last_used > days * DAY_SECONDS)


def _idle(items: list[Item], leave: Callable[[str], None]) -> Iterator[Item]:
    names = set(open_files())
    for item in items:
        if (item.lock is not None and is_locked(item.lock)) or is_open(item.paths, names):
            leave(f"{item.path}: {IN_USE}")
        else:
            yield item
