"""Composer's engine, without the time that it takes for events to which nobody listens."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from composer import algorithms as composer
from composer.core import Algorithm, Callback, Event, State
from composer.core.engine import Engine, Traces
from composer.loggers import LoggerDestination

# What happens in each step; on other events the engine is Composer's own.
STEP_EVENTS = frozenset(
    (
        *(Event.BEFORE_DATALOADER, Event.AFTER_DATALOADER, Event.BATCH_START, Event.BEFORE_TRAIN_BATCH),
        *(Event.BEFORE_FORWARD, Event.AFTER_FORWARD, Event.BEFORE_LOSS, Event.AFTER_LOSS, Event.BEFORE_BACKWARD),
        *(Event.AFTER_BACKWARD, Event.AFTER_TRAIN_BATCH, Event.BATCH_END, Event.BATCH_CHECKPOINT),
    )
)
# Algorithms that decide by the event alone; others may name in `HEARD` the only events on which they act.
STEADY = (
    *(composer.BlurPool, composer.ChannelsLast, composer.ColOut, composer.CutMix, composer.LabelSmoothing),
    *(composer.MixUp, composer.ProgressiveResizing, composer.StochasticDepth),
)
DEBUG = bool(os.environ.get("ENGINE_DEBUG"))


@dataclass(frozen=True)
class _Plan:
    """What acts on an event: `algorithms`, in their order, then `callbacks`, trackers last."""

    algorithms: Sequence[Algorithm]
    always: bool  # all of the algorithms, else those that match
    callbacks: list[Callback]


class StepEngine(Engine):
    """Composer 0.32.1's ``Engine``, which runs only what does something on an event.

    Composer calls all callbacks, asks and orders all algorithms, and makes a text for its log before each: a
    millisecond a step.
    """

    _plans: dict[Event, _Plan]
    _known = (-1, -1)

    def run_event(self, event: Event | str) -> Traces:
        """Run the algorithms that match, then the callbacks, then the trackers."""
        if event not in STEP_EVENTS or self._is_closed or self.state.profiler is not None:
            return super().run_event(event)
        event, state, logger = Event(event), self.state, self.logger
        plan = self._plan(event)
        acting = plan.algorithms
        if not plan.always and (acting := [each for each in acting if each.match(event, state)]):
            acting = self._compile(acting, event)
        for algorithm in acting:
            algorithm.apply(event, state, logger)
        for callback in plan.callbacks:
            callback.run_event(event, state, logger)
        # What was run, for `Logger.log_traces`, which no tracker of ours reads.
        return {}

    def _plan(self, event: Event) -> _Plan:
        state = self.state
        if self._known != (len(state.algorithms), len(state.callbacks)):
            self._known, self._plans = (len(state.algorithms), len(state.callbacks)), {}
        if event not in self._plans:
            asked = [each for each in state.algorithms if _may_act(each, event, state)]
            heard = [callback for callback in state.callbacks if _listens(callback, event)]
            heard.sort(key=lambda callback: isinstance(callback, LoggerDestination))
            always = all(map(_is_steady, asked))
            self._plans[event] = _Plan(self._compile(asked, event) if always else asked, always, heard)
        return self._plans[event]

    def _debug_log(self, event: Event, msg: str) -> None:
        if DEBUG:
            super()._debug_log(event, msg)


def _listens(callback: Callback, event: Event) -> bool:
    kind, name = type(callback), event.value
    own = getattr(kind, name) is not getattr(Callback, name) or kind.run_event is not Callback.run_event
    return own or name in vars(callback)


def _may_act(algorithm: Algorithm, event: Event, state: State) -> bool:
    if _is_steady(algorithm):
        return algorithm.match(event, state)
    return event in getattr(algorithm, "HEARD", STEP_EVENTS)


def _is_steady(algorithm: Algorithm) -> bool:
    return any(type(algorithm).match is kind.match for kind in STEADY)
