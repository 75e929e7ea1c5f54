"""Composer's trainer with a step that asks neither the device nor other ranks for what is known."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from itertools import islice
from typing import Any, cast

import torch
from composer import Trainer
from composer.core import Event, get_precision_context
from composer.core.types import TrainerMode
from composer.distributed import ddp_sync_context
from composer.utils import dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from resnet_exp.data.contract import Batch
from resnet_exp.loggers.recorder import Recorder
from resnet_exp.training.step.engine import StepEngine
from resnet_exp.training.step.exchange import TOTAL_LOSS, Exchange
from resnet_exp.training.step.timestamp import Timestamp


class StepTrainer(Trainer):
    """Composer 0.32.1's ``Trainer``, for one optimizer and a model whose loss is one tensor.

    In each step Composer asks all ranks whether their epochs have ended, for the size of the batch, for its loss, its
    time, and once more its size, and waits for the device as often; it copies each microbatch with the whole batch, and
    sends all buffers of the model. Where each rank gets as many batches of as many images, nobody needs to ask: `even`
    says so. Otherwise, and with ``device_train_microbatch_size=auto``, the step is Composer's own.
    """

    def __init__(
        self,
        *,
        even: bool,
        exchange: Exchange,
        recorder: Recorder,
        waiting: Callable[[bool], AbstractContextManager[None]],
        **settings: Any,
    ) -> None:
        """`exchange` gets the losses, `recorder` the waits for data; `waiting` surrounds each (training or not)."""
        self._ranks = dist.get_world_size()
        self._even = even or self._ranks == 1
        self._exchange, self._recorder, self._waiting = exchange, recorder, waiting
        super().__init__(**settings)
        # Composer has made them; only the time that they take differs.
        self.engine.__class__ = StepEngine
        self.state.timestamp.__class__ = Timestamp
        if isinstance(self.state.model, DistributedDataParallel):
            # Statistics of BatchNorm do not enter the training; `SameBuffers` sends them before evaluations.
            self.state.model.broadcast_buffers = False

    @property
    def _own(self) -> bool:
        return self._even and not self.state.auto_microbatching

    def _iter_dataloader(self, trainer_mode: TrainerMode) -> Generator[Batch, Any, None]:
        assert self.state.dataloader is not None
        train = trainer_mode == TrainerMode.TRAIN
        length = self.state.dataloader_len
        batches = islice(iter(self.state.dataloader), None if length is None else int(length))
        while True:
            if train:
                self.engine.run_event(Event.BEFORE_DATALOADER)
            began = time.perf_counter()
            with self._waiting(train):
                batch = next(batches, None)
            if train:
                self._recorder.add_wait(time.perf_counter() - began)
            if self._has_ended(batch is None):
                break
            assert batch is not None
            yield batch
        if train:
            self.engine.run_marker_only_event(Event.AFTER_DATALOADER)

    def _has_ended(self, here: bool) -> bool:
        if self._even:
            return here
        ended = self.state.device.tensor_to_device(torch.tensor([int(here)]))
        dist.all_reduce(ended, reduce_operation="MAX")
        return bool(ended.item())

    def _accumulate_time_across_ranks(
        self, num_samples: int | float, num_tokens: int, batch_time: timedelta
    ) -> tuple[int, int, timedelta]:
        if not self._even:
            return super()._accumulate_time_across_ranks(num_samples, num_tokens, batch_time)
        # The time of rank 0 counts, and only rank 0 writes it.
        return int(num_samples) * self._ranks, num_tokens * self._ranks, batch_time

    def _train_batch(self, use_grad_scaling: bool) -> Any:
        losses = self._step(use_grad_scaling) if self._own else super()._train_batch(use_grad_scaling)
        self._exchange.add_loss(losses[TOTAL_LOSS])
        # With a loss, Composer would average and read it at once.
        return None

    def _step(self, use_grad_scaling: bool) -> dict[str, Tensor]:
        state, spec = self.state, self._train_data_spec
        assert spec is not None and state.scaler is not None and state.device_train_microbatch_size is not None
        (optimizer,) = state.optimizers
        most = state.device_train_microbatch_size
        whole = spec.get_num_samples_in_batch(state.batch) <= most
        microbatches = [state.batch] if whole else spec.split_batch(state.batch, most)
        losses: dict[str, Tensor] = {}

        def closure(loss_dict: dict[str, Tensor] = losses, **settings: Any) -> Tensor:
            return self._train_microbatches(microbatches, loss_dict, **settings)

        if not self._use_closures():
            closure()
            state.scaler.step(optimizer)
        elif use_grad_scaling:
            state.scaler.step(optimizer, closure=closure)
        else:
            # Read: so the host is never more than a step ahead of the device, as with loss scaling.
            optimizer.step(closure=lambda **settings: closure(**settings).item())
        self.logger.log_metrics({"trainer/device_train_microbatch_size": state.device_train_microbatch_size})
        self.first_train_batch_complete = True
        return losses

    def _train_microbatches(
        self, microbatches: Sequence[Batch], total_loss_dict: dict[str, Tensor], ddp_sync: bool = True
    ) -> Tensor:
        if not self._own:
            return super()._train_microbatches(microbatches, total_loss_dict, ddp_sync)
        state, spec = self.state, self._train_data_spec
        assert spec is not None and state.scaler is not None
        use_grad_scaling = self._use_grad_scaling(state.precision, state.scaler)
        (optimizer,) = state.optimizers
        model = state.model
        apart = not ddp_sync and isinstance(model, DistributedDataParallel)
        with cast(DistributedDataParallel, model).no_sync() if apart else contextlib.nullcontext():
            self.engine.run_event(Event.BEFORE_TRAIN_BATCH)
            # As `zero_grad`, which tells torch's profiler each time.
            for weight in (weight for group in optimizer.param_groups for weight in group["params"]):
                weight.grad = None
            whole, size = state.batch, sum(map(spec.get_num_samples_in_batch, microbatches))
            for number, microbatch in enumerate(microbatches, 1):
                state.batch = spec.microbatch_transforms(microbatch)
                found = self._train_microbatch(use_grad_scaling, size, number == len(microbatches))
                for name, loss in found.items():
                    total_loss_dict[name] = total_loss_dict[name] + loss if name in total_loss_dict else loss
            state.batch = whole
            if use_grad_scaling:
                state.scaler.unscale_(optimizer)
            self.engine.run_event(Event.AFTER_TRAIN_BATCH)
        return total_loss_dict[TOTAL_LOSS]

    def _train_microbatch(
        self, use_grad_scaling: bool, current_batch_size: int | float, is_final_microbatch: bool
    ) -> dict[str, Tensor]:
        state = self.state
        if not self._own:
            # Composer copies it, and a view would be copied with all of the batch.
            state.batch = tuple(part.clone() for part in state.batch)
            return super()._train_microbatch(use_grad_scaling, current_batch_size, is_final_microbatch)
        assert self._train_data_spec is not None and state.scaler is not None
        share = self._train_data_spec.get_num_samples_in_batch(state.batch) / current_batch_size
        with ddp_sync_context(state, is_final_microbatch, self._ddp_sync_strategy):
            self.engine.run_event(Event.BEFORE_FORWARD)
            with get_precision_context(state.precision, state.precision_config):
                state.outputs = state.model(state.batch)
            self.engine.run_event(Event.AFTER_FORWARD)
            self.engine.run_event(Event.BEFORE_LOSS)
            with get_precision_context(state.precision, state.precision_config):
                state.loss = self._original_model.loss(state.outputs, state.batch)  # pyright: ignore[reportCallIssue]
            self.engine.run_event(Event.AFTER_LOSS)
            self.engine.run_event(Event.BEFORE_BACKWARD)
            loss = state.loss
            assert isinstance(loss, Tensor)
            reported = loss.detach()
            if use_grad_scaling:
                loss = state.scaler.scale(loss)
            if share != 1:
                reported, loss = reported * share, loss * share
            loss.backward(create_graph=self._backwards_create_graph)
            self.engine.run_event(Event.AFTER_BACKWARD)
        return {TOTAL_LOSS: reported}
