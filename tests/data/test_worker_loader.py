"""Worker processes that fail, die or hang: what is said, and that nothing waits for them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from resnet_exp.core.errors import RunFailed
from resnet_exp.data.worker_loader import EpochSampler, WorkerLoader, death_of_worker
from support.loaders import split_of


class Samples(list[Any]):
    """Samples by their keys."""

    def __getitem__(self, key: Any) -> Any:
        return torch.zeros(1)


def loader_of(collate: Callable[[Any], Any]) -> WorkerLoader:
    split = split_of("", num_workers=1)  # pyright: ignore[reportArgumentType]
    samples = Samples(range(8))
    return WorkerLoader.of(samples, EpochSampler(samples, split), collate)


def first_error(collate: Callable[[Any], Any]) -> tuple[Exception, WorkerLoader]:
    loader = loader_of(collate)
    try:
        next(iter(loader))
    except Exception as error:
        return error, loader
    raise AssertionError("there is a batch")


def test_a_batch_that_cannot_be_sent_is_an_error_of_its_consumer() -> None:
    error, loader = first_error(lambda samples: lambda: samples)
    assert "Can't pickle local object" in str(error)
    assert death_of_worker(error, loader) is None
    loader.close()


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (signal.SIGKILL, "SIGKILL (out of memory?)"),
        (signal.SIGBUS, "SIGBUS (no room in /dev/shm? a container has more with --shm-size=SIZE or --ipc=host)"),
    ],
)
def test_a_worker_that_dies_is_explained(number: signal.Signals, why: str) -> None:
    def die(samples: object) -> None:
        signal.signal(signal.SIGBUS, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    error, loader = first_error(die)
    death = death_of_worker(error, loader)
    assert isinstance(death, RunFailed) and str(death).startswith(f"a worker that loads images was ended by {why}; ")
    loader.close()


def test_a_worker_that_hangs_is_not_waited_for() -> None:
    loader = loader_of(lambda samples: time.sleep(1000))
    batches = iter(loader)
    began = time.monotonic()
    loader.close()
    assert time.monotonic() - began < 100
    del batches


def test_workers_are_forked_where_that_is_not_the_default() -> None:
    default = multiprocessing.get_start_method()
    multiprocessing.set_start_method("forkserver", force=True)  # as in Python 3.14
    try:
        loader = loader_of(lambda samples: torch.zeros(1))  # no other way sends a function without a name
        assert next(iter(loader)) == torch.zeros(1)
        loader.close()
    finally:
        multiprocessing.set_start_method(default, force=True)
