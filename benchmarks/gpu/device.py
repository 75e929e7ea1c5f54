"""What the benchmarks ask of a device, of CUDA and of a CPU alike: a rehearsal runs the same calls without a GPU."""

# ruff: noqa: D102 (the methods of CudaDevice are those of Device)
from __future__ import annotations

import contextlib
import resource
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

# Copies and kernels in the profiler's events.
COPY_WORDS = ("Memcpy", "Memset")
SYNCHRONIZED = "called a synchronizing CUDA operation"


class Moment(Protocol):
    """A moment on a device; what was asked of the device before it is done by then."""

    def since(self, earlier: Any) -> float:
        """Seconds from an earlier moment of the same device to this one; waits for it."""
        ...


@dataclass(frozen=True)
class CpuMoment:
    """A moment of the host's clock."""

    seconds: float

    def since(self, earlier: CpuMoment) -> float:
        return self.seconds - earlier.seconds


@dataclass(frozen=True)
class CudaMoment:
    """An event on the current stream. CUDA gives only the time between two, with half a microsecond's resolution."""

    event: torch.cuda.Event

    def since(self, earlier: CudaMoment) -> float:
        self.event.synchronize()
        return earlier.event.elapsed_time(self.event) / 1e3


@dataclass
class Profile:
    """What a profiler saw of a device.

    Attributes:
        seconds: of the wall clock, from the first to the last line, without the profiler's own start.
        busy: seconds in which a kernel ran.
        overlapped: share of the time of copies in which a kernel ran too, None without copies.
        kernels: how often each one ran, by name.
    """

    seconds: float = 0.0
    busy: float = 0.0
    overlapped: float | None = None
    kernels: Counter[str] = field(default_factory=Counter)


class Device:
    """The CPU, with the calls of `CudaDevice`."""

    kind = "cpu"

    @property
    def torch(self) -> torch.device:
        return torch.device(self.kind)

    def name(self) -> str:
        """Name of the GPU."""
        return "no GPU"

    def synchronize(self) -> None:
        """Wait until the device has done all that was asked of it."""

    def moment(self) -> Moment:
        """Mark this moment on the device."""
        return CpuMoment(time.perf_counter())

    def peak_bytes(self) -> int:
        """Most bytes that were reserved since `reset_peak`."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def reset_peak(self) -> None:
        """Give memory back, and start to count anew."""

    def limit_memory(self, gib: float | None) -> None:
        """Refuse what exceeds `gib`; None lifts the limit."""

    def limit_images(self, model: nn.Module, pixels: int) -> None:
        """Instead of a limit of a CPU's memory: `model` fails on larger batches as it does on a GPU."""
        from support.small_memory import limit

        limit(model, pixels, pixels)

    def exhaust_memory(self, model: nn.Module) -> None:
        """From now on no activations of `model` fit; `limit_memory` of a GPU lifts that."""
        self.limit_images(model, 0)

    def busy(self, seconds: float) -> None:
        """Keep the device busy for about so long, without the host."""
        time.sleep(seconds)

    @contextlib.contextmanager
    def synchronizations(self) -> Iterator[list[str]]:
        """Where the host waited for the device: file and line of each time, complete after the block."""
        yield []

    @contextlib.contextmanager
    def profiled(self) -> Iterator[Profile]:
        """What ran on the device, complete after the block."""
        found = Profile()
        self.synchronize()
        with profile(activities=self._activities()) as profiler:
            # The first start of CUDA's profiler takes seconds.
            began = time.perf_counter()
            yield found
            self.synchronize()
            found.seconds = time.perf_counter() - began
        _summarize(found, [each for each in profiler.events() or [] if self._is_kernel(each)])

    def _activities(self) -> list[ProfilerActivity]:
        return [ProfilerActivity.CPU]

    def _is_kernel(self, event: Any) -> bool:
        return event.cpu_parent is None

    def current(self) -> int:
        """Number of this thread's device."""
        return -1

    def out_of_memory(self) -> type[Exception]:
        """What torch raises when memory is not enough."""
        return torch.OutOfMemoryError


class CudaDevice(Device):
    """The first GPU."""

    kind = "cuda"

    def name(self) -> str:
        return torch.cuda.get_device_name(0)

    def synchronize(self) -> None:
        torch.cuda.synchronize()

    def moment(self) -> Moment:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return CudaMoment(event)

    def peak_bytes(self) -> int:
        return torch.cuda.max_memory_reserved()

    def reset_peak(self) -> None:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()

    def limit_memory(self, gib: float | None) -> None:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(1.0 if gib is None else min(1.0, gib * 2**30 / total))

    def busy(self, seconds: float) -> None:
        # Cycles, at the clock of an H100 under load.
        torch.cuda._sleep(int(seconds * 1.7e9))

    def limit_images(self, model: nn.Module, pixels: int) -> None:
        pass  # `limit_memory` does it

    def exhaust_memory(self, model: nn.Module) -> None:
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(1e-6)

    @contextlib.contextmanager
    def synchronizations(self) -> Iterator[list[str]]:
        found: list[str] = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                yield found
            finally:
                torch.cuda.set_sync_debug_mode("default")
        # Not the one that says that this mode is a prototype.
        found += [f"{each.filename}:{each.lineno}" for each in caught if SYNCHRONIZED in str(each.message)]

    def _activities(self) -> list[ProfilerActivity]:
        return [ProfilerActivity.CPU, ProfilerActivity.CUDA]

    def _is_kernel(self, event: Any) -> bool:
        # Names that torch gives to spans of steps, as its optimizers do, are on the GPU's time line as well.
        return event.device_type == DeviceType.CUDA and not event.is_user_annotation

    def current(self) -> int:
        return torch.cuda.current_device()


def make_device(kind: str) -> Device:
    """The device of a kind: ``cuda`` or ``cpu``."""
    return CudaDevice() if kind == "cuda" else Device()


Span = tuple[float, float]


def _summarize(found: Profile, events: list[Any]) -> None:
    kernels, copies = [], []
    for event in events:
        name, span = str(event.name), (event.time_range.start / 1e6, event.time_range.end / 1e6)
        if any(word in name for word in COPY_WORDS):
            copies.append(span)
        else:
            kernels.append(span)
            found.kernels[name] += 1
    merged = merge(kernels)
    found.busy = sum(end - start for start, end in merged)
    copied = sum(end - start for start, end in merge(copies))
    if copied:
        found.overlapped = _common(merge(copies), merged) / copied


def merge(spans: list[Span]) -> list[Span]:
    """Spans of time without overlaps, in their order."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _common(one: list[Span], other: list[Span]) -> float:
    total, place = 0.0, 0
    for start, end in one:
        while place < len(other) and other[place][1] <= start:
            place += 1
        at = place
        while at < len(other) and other[at][0] < end:
            total += min(end, other[at][1]) - max(start, other[at][0])
            at += 1
    return total
