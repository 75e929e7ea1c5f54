"""Composer's engine, without the time that it takes for events to which nobody listens."""

from __future__ import annotations

import os

from composer import algorithms as composer
from composer.core import Algorithm, Callback, Event
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
# Algorithms that decide by the event alone.
STEADY = (
    *(composer.BlurPool, composer.ChannelsLast, composer.ColOut, composer.CutMix, composer.LabelSmoothing),
    *(composer.MixUp, composer.ProgressiveResizing, composer.StochasticDepth),
)
DEBUG = bool(os.environ.get("ENGINE_DEBUG"))


class StepEngine(Engine):
    """Composer 0.32.1's ``Engine``, which runs only what does something on an event.

    Composer calls all callbacks, asks all algorithms, and makes a text for its log before each: a millisecond a step.
    """

    _listening: dict[Event, tuple[list[Algorithm], list[Callback]]]
    _known = (-1, -1)

    def run_event(self, event: Event | str) -> Traces:
        """Run the algorithms that match, then the callbacks, then the trackers."""
        if event not in STEP_EVENTS or self._is_closed or self.state.profiler is not None:
            return super().run_event(event)
        event = Event(event)
        asked, callbacks = self._listeners(event)
        matching = [algorithm for algorithm in asked if algorithm.match(event, self.state)]
        if matching:
            for algorithm in self._compile(matching, event):
                algorithm.apply(event, self.state, self.logger)
        for callback in callbacks:
            callback.run_event(event, self.state, self.logger)
        # What was run, for `Logger.log_traces`, which no tracker of ours reads.
        return {}

    def _listeners(self, event: Event) -> tuple[list[Algorithm], list[Callback]]:
        """Algorithms to ask, and callbacks to call, trackers last."""
        state = self.state
        if self._known != (len(state.algorithms), len(state.callbacks)):
            self._known, self._listening = (len(state.algorithms), len(state.callbacks)), {}
        if event not in self._listening:
            asked = [each for each in state.algorithms if not _is_steady(each) or each.match(event, state)]
            heard = [callback for callback in state.callbacks if _listens(callback, event)]
            heard.sort(key=lambda callback: isinstance(callback, LoggerDestination))
            self._listening[event] = asked, heard
        return self._listening[event]

    def _debug_log(self, event: Event, msg: str) -> None:
        if DEBUG:
            super()._debug_log(event, msg)


def _listens(callback: Callback, event: Event) -> bool:
    kind, name = type(callback), event.value
    own = getattr(kind, name) is not getattr(Callback, name) or kind.run_event is not Callback.run_event
    return own or name in vars(callback)


def _is_steady(algorithm: Algorithm) -> bool:
    return any(type(algorithm).match is kind.match for kind in STEADY)
