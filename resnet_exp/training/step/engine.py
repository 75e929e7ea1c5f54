"""Composer's engine, without the time that it takes for events to which nobody listens."""

from __future__ import annotations

import os

from composer.core import Callback, Event
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
DEBUG = bool(os.environ.get("ENGINE_DEBUG"))


class StepEngine(Engine):
    """Composer 0.32.1's ``Engine``, which runs only the callbacks that do something on an event.

    Composer calls all of them, and makes a text for its log before each, which is a millisecond a step.
    """

    _listening: dict[Event, list[Callback]]
    _known = -1

    def run_event(self, event: Event | str) -> Traces:
        """Run the algorithms that match, then the callbacks, then the trackers."""
        if event not in STEP_EVENTS or self._is_closed or self.state.profiler is not None:
            return super().run_event(event)
        event = Event(event)
        matches = any(algorithm.match(event, self.state) for algorithm in self.state.algorithms)
        traces = self._run_algorithms(event) if matches else {}
        for callback in self._listeners(event):
            callback.run_event(event, self.state, self.logger)
        return traces

    def _listeners(self, event: Event) -> list[Callback]:
        callbacks = self.state.callbacks
        if self._known != len(callbacks):
            self._known, self._listening = len(callbacks), {}
        found = self._listening.get(event)
        if found is None:
            heard = [callback for callback in callbacks if _listens(callback, event)]
            found = sorted(heard, key=lambda callback: isinstance(callback, LoggerDestination))
            self._listening[event] = found
        return found

    def _debug_log(self, event: Event, msg: str) -> None:
        if DEBUG:
            super()._debug_log(event, msg)


def _listens(callback: Callback, event: Event) -> bool:
    kind, name = type(callback), event.value
    own = getattr(kind, name) is not getattr(Callback, name) or kind.run_event is not Callback.run_event
    return own or name in vars(callback)
