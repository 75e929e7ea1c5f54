"""Composer's algorithms of the batch, with the same numbers, but without a wait of the host for the device.

Those of Composer 0.32.1 read labels on the host, and index images by indices in the host's memory, which CUDA copies
only when all its work is done. Configurations name Composer's classes; `UNWAITING` has these for them.
"""

from __future__ import annotations

import torch
from composer import algorithms as composer
from composer.algorithms.colout.colout import _should_resize_target
from composer.algorithms.cutmix import cutmix as composer_cutmix
from composer.algorithms.mixup import mixup_batch
from composer.core import Event, State
from composer.loggers import Logger
from torch import Tensor

from resnet_exp.training.step.losses import dense_targets


def on_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy values of the host to the device, which gets them when it comes to it."""
    if device.type == "cuda":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


class LabelSmoothing(composer.LabelSmoothing):
    """``composer.algorithms.LabelSmoothing``."""

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        """Smooth the targets before the loss, and put the labels back after it."""
        if event == Event.BEFORE_LOSS:
            logits, labels = state.outputs, state.batch_get_item(self.target_key)
            assert isinstance(logits, Tensor)
            self.original_labels = labels
            targets = dense_targets(logits, labels) * (1.0 - self.smoothing) + self.smoothing / logits.shape[1]
            state.batch_set_item(self.target_key, targets)
        else:
            super().apply(event, state, logger)


class MixUp(composer.MixUp):
    """``composer.algorithms.MixUp``."""

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        """Blend images before the forward pass, and their targets or losses after it."""
        images, labels = state.batch_get_item(self.input_key), state.batch_get_item(self.target_key)
        if event == Event.BEFORE_FORWARD:
            self.indices = on_device(torch.randperm(len(images)), images.device)
            mixed, self.permuted_target, self.mixing = mixup_batch(
                images, labels, alpha=self.alpha, indices=self.indices
            )
            state.batch_set_item(self.input_key, mixed)
        elif event == Event.BEFORE_LOSS:
            logits = state.outputs
            assert isinstance(logits, Tensor)
            own, other = dense_targets(logits, labels), dense_targets(logits, self.permuted_target)
            state.batch_set_item(self.target_key, (1 - self.mixing) * own + self.mixing * other)
        else:
            super().apply(event, state, logger)


class CutMix(composer.CutMix):
    """``composer.algorithms.CutMix``."""

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        """Paste patches before the forward pass, and mix targets or losses after it."""
        images, labels = state.batch_get_item(self.input_key), state.batch_get_item(self.target_key)
        if event == Event.BEFORE_FORWARD:
            self._indices = on_device(torch.randperm(len(images)), images.device)
            cut = composer_cutmix._gen_cutmix_coef(self.alpha)
            height, width = images.shape[-2:]
            self._bbox = composer_cutmix._rand_bbox(height, width, cut, uniform_sampling=self._uniform_sampling)
            self._adjusted_lambda = composer_cutmix._adjust_lambda(images, self._bbox)
            mixed, self._permuted_target, _, _ = composer_cutmix.cutmix_batch(
                images, labels, bbox=self._bbox, indices=self._indices
            )
            state.batch_set_item(self.input_key, mixed)
        elif event == Event.BEFORE_LOSS:
            logits, share = state.outputs, self._adjusted_lambda
            assert isinstance(logits, Tensor)
            own, other = dense_targets(logits, labels), dense_targets(logits, self._permuted_target)
            state.batch_set_item(self.target_key, share * own + (1 - share) * other)
        else:
            super().apply(event, state, logger)


class ColOut(composer.ColOut):
    """``composer.algorithms.ColOut``."""

    def _apply_batch(self, state: State) -> None:
        images, labels = state.batch_get_item(self.input_key), state.batch_get_item(self.target_key)
        if _should_resize_target((images, labels), self.resize_target):
            super()._apply_batch(state)
            return
        rows, columns = (
            on_device(torch.randperm(size)[: int((1 - share) * size)].sort().values, images.device)
            for size, share in zip(images.shape[-2:], (self.p_row, self.p_col), strict=True)
        )
        state.batch_set_item(self.input_key, images[..., rows, :][..., :, columns])


# By the names in configurations, which are Composer's.
UNWAITING = {f"composer.algorithms.{each.__name__}": each for each in (LabelSmoothing, MixUp, CutMix, ColOut)}
