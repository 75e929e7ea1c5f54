"""A batch that a loader's worker cannot send fails the run, with the reason.

``multiprocessing`` (Python 3.10 to 3.14) prints it in the worker, and the ``DataLoader`` of torch 2.14.1 waits for the
batch without end.
"""

from __future__ import annotations

from functools import partialmethod
from multiprocessing.queues import Queue
from typing import Any

from torch._utils import ExceptionWrapper


def send_errors(worker: int) -> None:
    """In a worker, of which `worker` is the number: send what cannot be sent as an error in its place."""
    Queue._on_queue_feeder_error = partialmethod(_send_error, worker)  # pyright: ignore


def _send_error(queue: Queue[Any], worker: int, error: Exception, batch: tuple[int, object]) -> None:
    queue.put((batch[0], ExceptionWrapper(where=f"in DataLoader worker process {worker}")))
