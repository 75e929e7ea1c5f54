"""A simulated GPU that is as late as it may be: it does nothing until the host waits for it.

A stream is a queue. Where several could go on, the last one that was made does so last.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

# Of the rank: not the one that each thread begins with.
DEVICE = 3


class Gpu:
    """Replaces what loaders use of ``torch.cuda`` and of tensors; `begun` counts copies that were asked for."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.lock, self.thread = threading.RLock(), threading.local()
        self.streams: list[Stream] = []
        self.main = Stream(self)
        self.begun = 0
        self.recorded: list[int] = []
        self._pinned: set[int] = set()
        self._on_gpu: set[int] = set()
        self._kept: list[torch.Tensor] = []  # so that no address is used again
        patch.setattr(torch.cuda, "Stream", lambda: Stream(self))
        patch.setattr(torch.cuda, "Event", lambda blocking: Event(self))
        patch.setattr(torch.cuda, "stream", self._with_stream)
        patch.setattr(torch.cuda, "current_stream", self.current)
        patch.setattr(torch.cuda, "set_device", self.set_device)
        copy, empty = torch.Tensor.to, torch.empty
        patch.setattr(
            torch.Tensor, "to", lambda part, *to, **how: (self._copy if to == ("cuda",) else copy)(part, *to, **how)
        )
        patch.setattr(torch.Tensor, "is_cuda", property(lambda part: _address(part) in self._on_gpu))
        patch.setattr(torch.Tensor, "is_pinned", lambda part: _address(part) in self._pinned)
        patch.setattr(torch.Tensor, "pin_memory", lambda part: self._note(part.clone(), self._pinned))
        patch.setattr(torch.Tensor, "record_stream", lambda part, stream: self.recorded.append(_address(part)))
        patch.setattr(
            torch,
            "empty",
            lambda *size, pin_memory=False, **how: (
                self._note(empty(*size, **how), self._pinned) if pin_memory else empty(*size, **how)
            ),
        )
        self.set_device(DEVICE)

    def set_device(self, device: int) -> None:
        self.thread.device = device

    def check_device(self) -> None:
        assert getattr(self.thread, "device", 0) == DEVICE, "this thread uses the GPU of another rank"

    def current(self) -> Stream:
        return getattr(self.thread, "stream", self.main)

    @contextlib.contextmanager
    def _with_stream(self, stream: Stream) -> Iterator[None]:
        self.check_device()
        self.thread.stream, before = stream, self.current()
        try:
            yield
        finally:
            self.thread.stream = before

    def _note(self, part: torch.Tensor, where: set[int]) -> torch.Tensor:
        where.add(_address(part))
        self._kept.append(part)
        return part

    def _copy(self, part: torch.Tensor, device: str, non_blocking: bool) -> torch.Tensor:
        self.check_device()
        assert non_blocking and part.is_pinned(), "the host would wait for this copy"
        assert self.current() is not self.main, "this copy would wait for training"
        with self.lock:
            self.begun += 1
            out = self._note(torch.full_like(part, -1 if part.dtype.is_signed else 255), self._on_gpu)
            self.current().add(lambda: out.copy_(part))
        return out

    def compute(self, work: Callable[[], Any]) -> None:
        """Have the stream that trains do something."""
        self.main.add(work)

    def catch_up(self) -> None:
        """Do all that was asked for."""
        with self.lock:
            while any([stream.go_on() for stream in self.streams]):
                pass


class Stream:
    def __init__(self, gpu: Gpu) -> None:
        self.gpu, self.queue, self.device = gpu, [], DEVICE
        gpu.streams.append(self)

    queue: list[Callable[[], Any]]

    def add(self, work: Callable[[], Any]) -> None:
        with self.gpu.lock:
            self.queue.append(work)

    def go_on(self) -> bool:
        """Do what can be done; returns whether it was anything."""
        done = 0
        while self.queue and self.queue[0]() is not False:
            self.queue.pop(0)
            done += 1
        return done > 0


class Event:
    def __init__(self, gpu: Gpu) -> None:
        self.gpu, self.stream, self.done = gpu, None, False

    stream: Stream | None

    def record(self) -> None:
        self.gpu.check_device()
        self.done, self.stream = False, self.gpu.current()
        self.stream.add(lambda: setattr(self, "done", True))

    def wait(self) -> None:
        self.gpu.check_device()
        self.gpu.current().add(lambda: self.done)

    def synchronize(self) -> None:
        self.gpu.check_device()
        with self.gpu.lock:
            while self.stream is not None and not self.done:
                assert self.stream.go_on(), "the host waits for what never comes"


def _address(part: torch.Tensor) -> int:
    return part.untyped_storage().data_ptr()
