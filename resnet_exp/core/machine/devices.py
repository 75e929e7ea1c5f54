"""What devices this machine has, without importing torch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pynvml


@dataclass(frozen=True)
class Gpu:
    """One visible GPU; ``capability`` is the CUDA compute capability (major, minor)."""

    name: str
    capability: tuple[int, int]


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver: its version, and the newest CUDA that it runs, as (major, minor)."""

    version: str
    cuda: tuple[int, int]


def usable_cpus() -> int:
    """CPUs that this process may run on (a SLURM or container limit counts)."""
    return len(os.sched_getaffinity(0))


def visible_gpus() -> list[Gpu]:
    """NVIDIA GPUs that CUDA would use, ``CUDA_VISIBLE_DEVICES`` respected; empty without a driver."""
    with _nvml() as found:
        count = pynvml.nvmlDeviceGetCount() if found else 0
        gpus = [_describe(pynvml.nvmlDeviceGetHandleByIndex(i)) for i in range(count)]
    return _select(gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))


def nvidia_driver() -> Driver | None:
    """The NVIDIA driver of this machine; None without one."""
    with _nvml() as found:
        if not found:
            return None
        cuda = int(pynvml.nvmlSystemGetCudaDriverVersion())
        return Driver(str(pynvml.nvmlSystemGetDriverVersion()), (cuda // 1000, cuda % 1000 // 10))


@contextmanager
def _nvml() -> Iterator[bool]:
    """NVIDIA's library while it is used; False without a driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield False
        return
    try:
        yield True
    finally:
        pynvml.nvmlShutdown()


def _describe(handle: object) -> Gpu:
    name = pynvml.nvmlDeviceGetName(handle)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    return Gpu(name=str(name), capability=(int(major), int(minor)))


def _select(gpus: list[Gpu], visible: str | None) -> list[Gpu]:
    if visible is None:
        return gpus
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in visible.split(",") if part.strip()):
        if entry.isdigit() and int(entry) < len(gpus):
            chosen.append(gpus[int(entry)])
        elif entry.startswith(("GPU-", "MIG-")) and gpus:
            chosen.append(gpus[0])
        else:
            # CUDA ignores everything from the first invalid entry on.
            break
    return chosen


def slug(gpus: list[Gpu]) -> str:
    """A name for a hardware found by itself, such as ``h100-80gb-hbm3-x8`` or ``cpu``."""
    if not gpus:
        return "cpu"
    name = re.sub(r"^nvidia\s+", "", gpus[0].name.lower())
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-") + f"-x{len(gpus)}"
