"""What is done once before the clock of training starts, which Composer does right after ``fit_start``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist

from resnet_exp.config.schema import RunConfig
from resnet_exp.data.contract import Batch, Loader
from resnet_exp.runs import environment
from resnet_exp.training.rank import graphs
from resnet_exp.training.rank.batch_wait import BatchWait
from resnet_exp.training.rank.kernel_search import search_kernels
from resnet_exp.training.rank.memory_check import check_memory


class StartUp(Callback):
    """Start the loaders, which compile, start workers and take memory, and make the first batch.

    A callback of Composer 0.32.1, the last one: what others do at the start is not in the clock either.
    """

    def __init__(self, config: RunConfig, train: Loader, evaluation: Loader, wait: BatchWait) -> None:
        self._config, self._train, self._evaluation, self._wait = config, train, evaluation, wait
        self._begun = False
        self.seconds = 0.0

    def fit_start(self, state: State, logger: Logger) -> None:
        """Begin the first epoch, which Composer then iterates over."""
        with self._wait.of_batch(train=True, first=True):
            _start_workers(self._evaluation)
            self._set_loader(state, _Begun(self._train))
        self._begun = True
        with graphs.not_compiled():
            check_memory(self._config, state)
            search_kernels(self._config, state)
        graphs.make_graphs(self._config, state, self._evaluation)
        self._end()

    def before_dataloader(self, state: State, logger: Logger) -> None:
        """Composer iterates by now: later epochs are those of the loader itself."""
        if self._begun:
            self._set_loader(state, self._train)
            self._begun = False

    def before_evaluation(self, state: State) -> None:
        """The same for a run that is only evaluated."""
        graphs.make_graphs(self._config, state, self._evaluation)
        with self._wait.of_batch(train=True, first=True):
            next(iter(self._evaluation), None)
        self._evaluation.seek(0, 0)
        self._end()

    @staticmethod
    def _set_loader(state: State, loader: object) -> None:
        state.set_dataloader(loader, state.dataloader_label)  # pyright: ignore[reportArgumentType]

    def _end(self) -> None:
        # Otherwise the clock of one rank would run while it waits for another one.
        dist.barrier()
        self.seconds = environment.process_seconds()


class _Begun:
    """A loader whose next epoch has begun: its first batch is made."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        batches = iter(loader)
        # None where a run goes on after the last batch of an epoch.
        self._batches = chain(list(islice(batches, 1)), batches)

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        return self._batches

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def _start_workers(evaluation: Loader) -> None:
    """An epoch without a batch: the workers of a loader start, its memory is taken, and training is not slowed down."""
    evaluation.seek(0, len(evaluation))
    for _ in evaluation:
        pass
    evaluation.seek(0, 0)
