"""A failing tracker must not end a run: its error is reported once, and it is not called again.

Composer 0.32.1 calls its loggers one after the other, and lets what one raises end the run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from composer.loggers import LoggerDestination

from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import one_line

# The methods through which Composer and `resnet_exp.train` call a tracker.
CALLED = (
    *("run_event", "close", "post_close", "log_metrics", "log_hyperparameters", "log_table", "log_images"),
    *("log_traces", "upload_file", "log_result", "log_stop", "log_failure"),
)


def guard(name: str, tracker: LoggerDestination) -> LoggerDestination:
    """Report the first exception of `tracker` instead of raising it, and do not call it again; `name` is its key."""
    lost = False

    def guarded(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal lost
            if lost:
                return None
            try:
                return method(*args, **kwargs)
            except Exception as error:
                lost = True
                reason = one_line(error)[:200]
                console.say(f"loggers.{name} has failed and gets nothing more ({type(error).__name__}: {reason})")
            return None

        return call

    for called in CALLED:
        if (method := getattr(tracker, called, None)) is not None:
            setattr(tracker, called, guarded(method))
    return tracker
