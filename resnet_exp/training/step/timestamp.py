"""Composer's timestamp, which goes to the next batch without making all of its times anew."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

from composer.core import Time, TimeUnit
from composer.core import Timestamp as ComposerTimestamp


class Timestamp(ComposerTimestamp):
    """Composer 0.32.1's ``Timestamp``, which parses and checks all of its times for each batch; here it is four.

    Its name is Composer's, by which a checkpoint finds its state.
    """

    def to_next_batch(
        self, samples: int | Time = 0, tokens: int | Time = 0, duration: timedelta | None = None
    ) -> ComposerTimestamp:
        """The timestamp after a batch."""
        if tokens or not isinstance(samples, int):
            return super().to_next_batch(samples, tokens, duration)
        took, later = duration or timedelta(), copy.copy(self)
        vars(later).update(
            _batch=Time(self.batch.value + 1, TimeUnit.BATCH),
            _batch_in_epoch=Time(self.batch_in_epoch.value + 1, TimeUnit.BATCH),
            _sample=Time(self.sample.value + samples, TimeUnit.SAMPLE),
            _sample_in_epoch=Time(self.sample_in_epoch.value + samples, TimeUnit.SAMPLE),
            _total_wct=self.total_wct + took,
            _iteration_wct=self.iteration_wct + took,
            _epoch_wct=self.epoch_wct + took,
            _batch_wct=took,
        )
        return later

    def copy(self, *times: Any, **changed: Any) -> ComposerTimestamp:
        """A timestamp with other times, which is of this class, too."""
        made = super().copy(*times, **changed)
        made.__class__ = type(self)
        return made
