"""Batches on their way to a GPU, copied on a stream of their own while an earlier one is trained on.

Neither torch nor Composer does this: torch's ``DataLoader`` pins batches, and Composer copies them on the stream that
it trains on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from resnet_exp.data.contract import Batch, Loader


class DeviceCopy:
    """A copy of a batch to the GPU of a stream."""

    def __init__(self, batch: Iterable[Tensor], stream: torch.cuda.Stream) -> None:
        """Begin to copy on `stream`; memory that is not pinned is pinned first, or else the copy would be waited for.

        The caller keeps the batch until `wait_on_host` returns.
        """
        use_device_of(stream)
        self._done: torch.cuda.Event = torch.cuda.Event(blocking=True)  # pyright: ignore[reportAttributeAccessIssue]
        with torch.cuda.stream(stream):
            images, labels = (part if part.is_pinned() else part.pin_memory() for part in batch)
            self._batch = images.to("cuda", non_blocking=True), labels.to("cuda", non_blocking=True)
            self._done.record()

    def wait_on_host(self) -> None:
        """Wait until the batch has been copied: its host memory may be written to again."""
        self._done.synchronize()

    def take(self) -> Batch:
        """The batch on the GPU, for the current stream: it waits for the copy, and the memory for what it does."""
        self._done.wait()
        batch = self._batch
        del self._batch  # memory that the consumer gives back
        for part in batch:
            part.record_stream(torch.cuda.current_stream())
        return batch


def use_device_of(stream: torch.cuda.Stream) -> None:
    """Have this thread use the GPU of `stream`.

    Each thread has a device of its own, at first number 0, on which torch would leave a context behind.
    """
    torch.cuda.set_device(stream.device)


class Prefetched:
    """A loader whose batches are copied to the current GPU one batch ahead; it is used like the loader itself.

    Batches that are on a GPU already are handed on. A loader may write to the memory of a batch when it is asked for
    the next one.
    """

    def __init__(self, loader: Loader) -> None:
        """`loader` gives batches in host memory."""
        self._loader = loader
        self.batch_size, self.images = loader.batch_size, loader.images
        # One for all epochs: torch keeps memory of its own for each stream.
        self._stream: torch.cuda.Stream = torch.cuda.Stream()  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        """That of the loader: Composer looks for torch's ``DataLoader``, and sets the epoch of its sampler."""
        return type(self._loader)

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        """Begin an epoch, at once: a loader may start its workers."""
        return _copied(iter(self._loader), self._stream)

    def seek(self, epoch: int, batch: int) -> None:
        """Let the next iteration be that of `epoch` without its first `batch` batches."""
        self._loader.seek(epoch, batch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def _copied(batches: Iterator[Batch], stream: torch.cuda.Stream) -> Iterator[Batch]:
    first = next(batches, None)
    if first is None:
        return
    if all(part.is_cuda for part in first):
        yield first
        yield from batches
        return
    copy: DeviceCopy | None = None
    for batch in chain([first], batches):
        copy, last = DeviceCopy(batch, stream), copy
        if last is not None:
            yield last.take()
        copy.wait_on_host()
    if copy is not None:
        yield copy.take()
