"""What the terminal shows while a run trains."""

from __future__ import annotations

import time
from typing import NoReturn

from composer.core import State
from composer.loggers import Logger, LoggerDestination
from composer.utils import dist
from tqdm import tqdm

from resnet_exp import console
from resnet_exp.callbacks import current_lr, top1_top5_loss

PLAIN_LINE_SECONDS = 30.0
BAR = "{desc} |{bar:20}| {n}/{total} batches {postfix} ETA {remaining}"


class Progress(LoggerDestination):
    """A bar with epoch, loss, lr, image size, images/s and ETA on a terminal; plain lines elsewhere."""

    def __init__(self) -> None:
        self._bar: tqdm[NoReturn] | None = None
        self._stream = console.stream()
        self._shown = dist.get_global_rank() == 0
        self._began = self._printed = time.monotonic()
        self._first_batch = 0
        self._rate = 0.0
        self._batch_began = 0.0

    def fit_start(self, state: State, logger: Logger) -> None:
        """Open the bar."""
        self._first_batch = state.timestamp.batch.value
        self._began = self._printed = time.monotonic()
        if self._shown and self._stream.isatty():
            total = self._total(state)
            self._bar = tqdm(
                total=total,
                initial=self._first_batch,
                file=self._stream,
                bar_format=BAR,
                dynamic_ncols=True,
                leave=False,
            )

    @staticmethod
    def _total(state: State) -> int:
        assert state.max_duration is not None and state.dataloader_len is not None
        length = state.max_duration.value
        return int(length * state.dataloader_len.value) if state.max_duration.unit.value == "ep" else int(length)

    def before_dataloader(self, state: State, logger: Logger) -> None:
        """Start the batch's clock."""
        self._batch_began = time.monotonic()

    def batch_end(self, state: State, logger: Logger) -> None:
        """Move the bar, or print a line every half minute."""
        if not self._shown:
            return
        seconds = max(1e-9, time.monotonic() - self._batch_began)
        images = len(state.batch_get_item(1)) * dist.get_world_size() / seconds
        self._rate = images if self._rate == 0 else 0.9 * self._rate + 0.1 * images
        if self._bar is not None:
            self._bar.set_description(self._epoch(state), refresh=False)
            self._bar.set_postfix_str(self._numbers(state), refresh=False)
            self._bar.update(1)
        elif time.monotonic() - self._printed > PLAIN_LINE_SECONDS:
            self._printed = time.monotonic()
            self._say(f"{self._epoch(state)}  {self._numbers(state)}  ETA {console.span(self._remaining(state))}")

    @staticmethod
    def _epoch(state: State) -> str:
        assert state.max_duration is not None
        if state.max_duration.unit.value != "ep":
            return f"batch {state.timestamp.batch.value}/{state.max_duration.value}"
        return f"epoch {min(state.timestamp.epoch.value + 1, state.max_duration.value)}/{state.max_duration.value}"

    def _numbers(self, state: State) -> str:
        loss = sum(state.total_loss_dict.values()) if isinstance(state.total_loss_dict, dict) else float("nan")
        height, width = state.batch_get_item(0).shape[-2:]
        return f"loss {loss:.3f}  lr {current_lr(state):.4f}  {width}x{height} px  {self._rate:,.0f} images/s"

    def _remaining(self, state: State) -> float:
        done = state.timestamp.batch.value
        seconds = (time.monotonic() - self._began) / max(1, done - self._first_batch)
        return seconds * (self._total(state) - done)

    def eval_end(self, state: State, logger: Logger) -> None:
        """One line an evaluation."""
        if not self._shown:
            return
        metrics = top1_top5_loss(state)
        assert state.max_duration is not None
        epoch = f"epoch {state.timestamp.epoch.value}/{state.max_duration.value}"
        self._say(f"{epoch}  top-1 {metrics['top1']:.2%}  top-5 {metrics['top5']:.2%}  eval loss {metrics['loss']:.3f}")

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.write(line, file=self._stream)
        else:
            console.say(line)

    def close(self, state: State, logger: Logger) -> None:
        """Take the bar away; the lines stay."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
