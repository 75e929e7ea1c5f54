"""Whether a run was asked to stop, for callbacks of tests that have it asked: its launcher may be slow."""

from __future__ import annotations

import time

from composer.core import State


def is_asked_to_stop(state: State) -> bool:
    """Whether the signal has arrived in this rank."""
    return any(getattr(callback, "requested", False) for callback in state.callbacks)


def await_stop(state: State) -> None:
    """Wait until it has."""
    end = time.monotonic() + 120
    while not is_asked_to_stop(state):
        assert time.monotonic() < end, "nobody has asked this rank to stop"
        time.sleep(0.01)
