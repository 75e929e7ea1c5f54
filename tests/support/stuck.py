"""A loader whose first batch takes long, and one of whose batches never comes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from composer.core import Callback

from resnet_exp.data.contract import Batch, Split
from resnet_exp.data.synthetic import SyntheticLoader
from resnet_exp.training.rank import batch_wait


class Stuck(SyntheticLoader):
    """What is done once takes `seconds`; batch `at` of an epoch of training is waited for in vain."""

    def __init__(self, split: Split, seconds: float, at: int) -> None:
        super().__init__(split, 32 if split.train else 8, 8)
        self._seconds, self._at = seconds, at if split.train else -1

    def __iter__(self) -> Iterator[Batch]:
        time.sleep(self._seconds)
        self._seconds = 0
        for number, batch in enumerate(super().__iter__()):
            if number == self._at:
                time.sleep(1000)
            yield batch


def make_loader(split: Split, seconds: float = 0, at: int = -1) -> Stuck:
    return Stuck(split, seconds, at)


class Impatient(Callback):
    """Makes the limits of waiting short."""

    def __init__(self, limit: float, stop: float) -> None:
        batch_wait.LIMIT_SECONDS, batch_wait.STOP_SECONDS = limit, stop
