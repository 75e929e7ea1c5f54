"""The order of the algorithms on an event of Composer (docs/fidelity.md)."""

from __future__ import annotations

from collections.abc import Sequence

from composer.core import Algorithm, Event


def listed_order(algorithms: Sequence[Algorithm], event: Event) -> Sequence[Algorithm]:
    """Engine pass: on ``AFTER_DATALOADER`` run the algorithms as listed: ColOut, then progressive resizing.

    Composer 0.7.1 reversed the order on the events of its ``_AFTER_EVENTS``, which leave this one out; today's
    ``set_filo_order`` reverses it on every ``AFTER_*`` event, and this pass runs after that one.
    """
    return list(reversed(algorithms)) if event == Event.AFTER_DATALOADER else algorithms
