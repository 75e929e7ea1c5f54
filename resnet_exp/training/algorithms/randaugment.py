"""Composer's RandAugment, for loaders that do it themselves."""

from __future__ import annotations

from typing import ClassVar

from composer.algorithms import RandAugment as ComposerRandAugment
from composer.core import Event, State
from composer.loggers import Logger

from resnet_exp.data.contract import Augmenting


class RandAugment(ComposerRandAugment):
    """Composer's RandAugment, done by the loader itself if it can: that of Composer 0.32.1 needs Pillow images."""

    HEARD: ClassVar = frozenset((Event.FIT_START,))

    def match(self, event: Event, state: State) -> bool:
        """True when training begins."""
        return event in self.HEARD and (isinstance(state.dataloader, Augmenting) or super().match(event, state))

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        """Tell the loader, or change its dataset."""
        if isinstance(state.dataloader, Augmenting):
            state.dataloader.randaugment(self.augmentation_set, self.severity, self.depth)
        else:
            super().apply(event, state, logger)
