"""What the terminal shows while a run trains."""

from __future__ import annotations

import contextlib
import time
from typing import NoReturn

from composer.core import State
from composer.loggers import Logger, LoggerDestination
from composer.utils import dist
from tqdm import tqdm

from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import span
from resnet_exp.loggers.recorder import batches_of, current_lr, top1_top5_loss

PLAIN_LINE_SECONDS = 30.0
SMOOTHING = 0.1
ROOM_FOR_CTRL_C = 2  # a terminal echoes it as ^C, which must not start another line


class Pace:
    """Smoothed images per second, and the time left at the mean speed since the first batch of this attempt."""

    def __init__(self) -> None:
        self.images_per_second = 0.0
        self._batch_began = 0.0
        self._first: tuple[float, int] | None = None

    def batch_begins(self) -> None:
        """Start the batch's clock."""
        self._batch_began = time.monotonic()

    def batch_ends(self, images: int, done: int) -> None:
        """Stop it; `done` counts batches since the start of training."""
        now = time.monotonic()
        # The first batch waits for one-time work (worker processes, compilation), so it is not timed.
        if self._first is None:
            self._first = now, done
            return
        rate = images / max(1e-9, now - self._batch_began)
        old = self.images_per_second or rate
        self.images_per_second = old + SMOOTHING * (rate - old)

    def remaining(self, done: int, total: int) -> str:
        """Time left, as text."""
        if self._first is None or done == self._first[1]:
            return "-"
        began, first = self._first
        return span((time.monotonic() - began) / (done - first) * (total - done))


class Progress(LoggerDestination):
    """A bar with epoch, loss, lr, image size, images/s and ETA on a terminal; plain lines otherwise.

    A logger of Composer 0.32.1, in the place of its ``ProgressBarLogger``.
    """

    def __init__(self) -> None:
        self._bar: tqdm[NoReturn] | None = None
        self._stream = console.stream()
        self._shown, self._ranks = dist.get_global_rank() == 0, dist.get_world_size()
        self._plain = console.width() is None
        self._printed = time.monotonic()
        self._pace: Pace | None = None

    def before_dataloader(self, state: State, logger: Logger) -> None:
        """Start the batch's clock."""
        if self._pace is None:
            self._pace = Pace()
            if self._shown:
                console.status("waiting for the first batch")
        self._pace.batch_begins()

    def batch_end(self, state: State, logger: Logger) -> None:
        """Move the bar, or print a line every half minute."""
        assert self._pace is not None
        done = state.timestamp.batch.value
        self._pace.batch_ends(len(state.batch_get_item(1)) * self._ranks, done)
        if self._shown and not self._plain:
            self._move_bar(state)
        elif self._shown and time.monotonic() - self._printed > PLAIN_LINE_SECONDS:
            self._printed = time.monotonic()
            console.say(
                f"{_position(state)}  {self._numbers(state)}  ETA {self._pace.remaining(done, batches_of(state))}"
            )

    def _move_bar(self, state: State) -> None:
        assert self._pace is not None
        done, total = state.timestamp.batch.value, batches_of(state)
        eta = self._pace.remaining(done, total)
        shape = f"{_position(state)} |{{bar}}| {self._numbers(state)} ETA {eta:>8}"
        with contextlib.suppress(OSError):  # the terminal is gone; the run continues
            columns = (console.width() or 80) - ROOM_FOR_CTRL_C
            if self._bar is None:
                console.status("")
                self._bar = tqdm(
                    total=total, initial=done, file=self._stream, ncols=columns, bar_format=shape, leave=False
                )
            else:
                self._bar.ncols, self._bar.bar_format = columns, shape
                self._bar.update(1)

    def _numbers(self, state: State) -> str:
        assert self._pace is not None
        loss = sum(state.total_loss_dict.values()) if isinstance(state.total_loss_dict, dict) else float("nan")
        height, width = state.batch_get_item(0).shape[-2:]
        size = f"{width}" if width == height else f"{width}x{height}"
        speed = f"{self._pace.images_per_second:,.0f}" if self._pace.images_per_second else "-"
        return f"loss {loss:.3f} lr {current_lr(state):.4f} {size} px {speed:>6} images/s"

    def eval_start(self, state: State, logger: Logger) -> None:
        """Show that the bar waits for an evaluation."""
        if self._bar is not None:
            with contextlib.suppress(OSError):
                self._bar.bar_format = f"{_position(state)} |{{bar}}| evaluating"
                self._bar.refresh()
        elif self._shown:
            console.status("evaluating")

    def eval_end(self, state: State, logger: Logger) -> None:
        """Print one line per evaluation."""
        if self._shown:
            metrics = top1_top5_loss(state)
            shares = f"top-1 {metrics['top1']:7.2%}  top-5 {metrics['top5']:7.2%}"
            self._say(f"{_position(state)}  {shares}  eval loss {metrics['loss']:.3f}")

    def _say(self, line: str) -> None:
        if self._bar is None:
            console.say(line)
            return
        with contextlib.suppress(OSError):
            self._bar.write(line, file=self._stream)

    def close(self, state: State, logger: Logger) -> None:
        """Remove the bar; the lines stay."""
        if self._bar is not None:
            with contextlib.suppress(OSError):
                self._bar.close()
            self._bar = None


def _position(state: State) -> str:
    """``epoch  3/16`` or ``batch  120/9000``, in the unit of the run's length; the epoch is that of the last batch."""
    now, end = state.timestamp, state.max_duration
    assert end is not None
    epochs = end.unit.value == "ep"
    done = now.epoch.value + (now.batch_in_epoch.value > 0) if epochs else now.batch.value
    return f"{'epoch' if epochs else 'batch'} {done:>{len(str(end.value))}}/{end.value}"
