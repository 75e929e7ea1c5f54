"""A stop that one rank is asked for, and a loss of one that is not a number, end all ranks within a few batches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from composer.core import State
from composer.devices import DeviceCPU
from composer.loggers import Logger
from composer.models import ComposerClassifier
from torch import distributed, nn

from resnet_exp.core.errors import RunFailed, StopRequested
from resnet_exp.loggers.recorder import Recorder
from resnet_exp.runs.folder import RunFolder
from resnet_exp.training.callbacks import check_loss
from resnet_exp.training.step import exchange
from support.commands import RunCli, left_running
from support.paths import TESTS
from support.photos import PhotoTree

RANKS, LONGEST, WITHIN = 2, 100, 8


@dataclass
class Threads:
    """Each thread of a pool is a rank, connected to the others by a gloo group of its own."""

    store: Any = field(default_factory=distributed.HashStore)  # pyright: ignore[reportPrivateImportUsage]
    own: threading.local = field(default_factory=threading.local)

    def join(self, rank: int) -> None:
        """This thread is that rank."""
        self.own.group = distributed.ProcessGroupGloo(self.store, rank, RANKS, timedelta(seconds=60))
        self.own.sums = 0

    def all_reduce(self, tensor: torch.Tensor) -> None:
        """``composer.utils.dist.all_reduce`` among the threads."""
        self.own.group.allreduce([tensor]).wait()
        self.own.sums += 1


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Threads:
    made = Threads()
    monkeypatch.setattr(exchange.dist, "get_world_size", lambda: RANKS)
    monkeypatch.setattr(exchange.dist, "all_reduce", made.all_reduce)
    return made


def train(threads: Threads, act: Callable[[int, int, exchange.Exchange], float], rank: int) -> tuple[int, str, int]:
    """Batches until a rank ended, by what it ended, and how often it exchanged; `act` gives the loss of a batch."""
    threads.join(rank)
    model = ComposerClassifier(nn.Linear(1, 1), num_classes=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    state = State(
        model=model, rank_zero_seed=0, run_name="mine", device=DeviceCPU(), optimizers=optimizer,
        max_duration=f"{LONGEST}ba",
    )  # fmt: skip
    logger, mine = Logger(state), exchange.Exchange(Recorder(RunFolder(Path("unused")), False), [check_loss])
    for batch in range(LONGEST):
        state.batch = torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64)
        try:
            mine.batch_start(state, logger)
            mine.add_loss(torch.tensor(act(rank, batch, mine)))
            state.previous_timestamp = state.timestamp
            state.timestamp = state.timestamp.to_next_batch(samples=4)
            mine.batch_end(state, logger)
            mine.batch_checkpoint(state, logger)
        except (StopRequested, RunFailed) as error:
            return batch, str(error) or "stopped", threads.own.sums
    return LONGEST, "", threads.own.sums


def train_ranks(threads: Threads, act: Callable[[int, int, exchange.Exchange], float]) -> tuple[int, str, int]:
    """What `train` gives for all ranks alike."""
    with ThreadPoolExecutor(RANKS) as pool:
        one, other = pool.map(partial(train, threads, act), range(RANKS))
    assert one == other
    return one


@pytest.mark.parametrize("when", [0, 20, 23, 27])
def test_a_stop_of_one_rank_ends_all_within_eight_batches(
    threads: Threads, when: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "MOST_SECONDS", 1e9)  # however slow this machine is

    def ask(rank: int, batch: int, mine: exchange.Exchange) -> float:
        mine.requested |= rank == 1 and batch == when
        return 1.0

    ended, how, exchanges = train_ranks(threads, ask)
    assert how == "stopped" and 0 <= ended - when < WITHIN
    assert exchanges <= 1 + -(-ended // WITHIN), "and no more often than that"


@pytest.mark.parametrize("when", [0, 21, 27])
def test_a_loss_that_is_no_number_ends_all_within_eight_batches(threads: Threads, when: int) -> None:
    ended, how, _ = train_ranks(threads, lambda rank, batch, mine: float("nan") if (rank, batch) == (1, when) else 1.0)
    assert how.startswith(f"loss is nan at epoch 0, batch {when} ") and 0 <= ended - when < WITHIN


def test_slow_batches_are_fewer_between_two_exchanges(threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of a fifth of the longest time, or more on a busy machine."""
    monkeypatch.setattr(exchange, "MOST_SECONDS", 0.1)

    def ask(rank: int, batch: int, mine: exchange.Exchange) -> float:
        time.sleep(0.02)
        mine.requested |= rank == 1 and batch == 17
        return 1.0

    ended, how, _ = train_ranks(threads, ask)
    assert how == "stopped" and 0 <= ended - 17 < 5


@pytest.mark.soak
def test_a_signal_to_one_of_two_ranks_stops_both_within_eight_batches(
    train_cli: RunCli, tiny: list[str], photo_tree: PhotoTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real ranks, as a cluster's manager or a user may signal them; then the run goes on to its end."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    words = (
        *tiny, "recipe=mild", "data=imagefolder", "dataset=imagefolder", f"dataset.dir={photo_tree()}", "trace=true",
        "run_id=mine", "hardware.devices=2", "train_batch_size=4", "eval_batch_size=4", "ssr=0.0445",
        "+callbacks.fault._target_=support.rank_faults.Fault", "+callbacks.fault.exchange_seconds=1e9",
    )  # fmt: skip
    run = RunFolder(tmp_path / "runs" / "mine")
    monkeypatch.setenv("FAULT", "12:SIGTERM:1")
    stopped = train_cli(*words)
    assert stopped.returncode == 130, stopped.stderr + stopped.stdout
    batches = int(run.latest_checkpoint.resolve().name.removeprefix("stopped-ba").partition("-")[0])
    assert 12 <= batches < 12 + WITHIN
    assert run.trace.read_text().count("\n") == batches and left_running(tmp_path) == []
    monkeypatch.setenv("FAULT", "-1::-1")
    assert train_cli(*words).returncode == 0
    assert run.trace.read_text().count("\n") == 32
