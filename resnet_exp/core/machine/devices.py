"""What devices this machine has, without importing torch."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pynvml

# One of these is there if NVIDIA's kernel module is loaded, whatever NVML says.
DRIVER_FILES = (Path("/dev/nvidiactl"), Path("/proc/driver/nvidia/version"))
# Length of a set of CPUs in words of 64 bits: enough for 1,024 of them.
CPU_WORDS = 16

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Gpu:
    """One GPU, or a MIG slice of one.

    Attributes:
        name: what NVML calls it, such as ``NVIDIA A100-SXM4-40GB``, and with ``MIG 3g.20gb`` for a slice.
        capability: the CUDA compute capability (major, minor).
        memory: its bytes; 0 if unknown.
        uuid: as in ``CUDA_VISIBLE_DEVICES``; empty if unknown.
        is_slice: whether it is a MIG slice.
        cpus: those of its NUMA node; empty if unknown.
    """

    name: str
    capability: tuple[int, int]
    memory: int = 0
    uuid: str = ""
    is_slice: bool = False
    cpus: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver: its version, and the newest CUDA that it runs, as (major, minor)."""

    version: str
    cuda: tuple[int, int]


@dataclass(frozen=True)
class _Board:
    """A whole GPU; `slices` are its MIG slices, None where MIG is off."""

    gpu: Gpu
    slices: tuple[Gpu, ...] | None

    @property
    def parts(self) -> tuple[Gpu, ...]:
        return (self.gpu,) if self.slices is None else self.slices


def usable_cpus() -> int:
    """CPUs that this process may run on (a SLURM or container limit counts)."""
    return len(os.sched_getaffinity(0))


def visible_gpus() -> list[Gpu]:
    """NVIDIA GPUs that CUDA would use, ``CUDA_VISIBLE_DEVICES`` respected; empty without a driver.

    GPUs that NVML does not describe (lost ones, those of other users) do not count; CUDA skips them, too.
    """
    return _select(_boards(), os.environ.get("CUDA_VISIBLE_DEVICES"))


def gpus_of_machine() -> int:
    """Number of whole GPUs that this machine shows, whatever ``CUDA_VISIBLE_DEVICES`` says."""
    return len(_boards())


def nvidia_driver() -> Driver | None:
    """The NVIDIA driver of this machine; None without one."""
    with _nvml() as found:
        if not found:
            return None
        cuda = int(pynvml.nvmlSystemGetCudaDriverVersion())
        return Driver(str(pynvml.nvmlSystemGetDriverVersion()), (cuda // 1000, cuda % 1000 // 10))


def driver_fault() -> str | None:
    """Why NVML does not work though NVIDIA's kernel module is loaded; None if it works, or there is no such module."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return str(error) if any(file.exists() for file in DRIVER_FILES) else None
    pynvml.nvmlShutdown()
    return None


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


def _boards() -> list[_Board]:
    with _nvml() as found:
        count = pynvml.nvmlDeviceGetCount() if found else 0
        boards = [_answer(None, _board, number) for number in range(count)]
    return [board for board in boards if board is not None]


def _answer(default: Answer, ask: Callable[..., Answer], *arguments: object) -> Answer:
    """What NVML answers; `default` where the GPU, its driver or its owner does not allow an answer."""
    try:
        return ask(*arguments)
    except pynvml.NVMLError:
        return default


def _board(number: int) -> _Board:
    handle = pynvml.nvmlDeviceGetHandleByIndex(number)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    capability, cpus = (int(major), int(minor)), _answer(frozenset(), _cpus_near, handle)
    name, memory, uuid = _facts(handle)
    gpu = Gpu(name, capability, memory, uuid, cpus=cpus)
    current, _ = _answer((pynvml.NVML_DEVICE_MIG_DISABLE, 0), pynvml.nvmlDeviceGetMigMode, handle)
    if current != pynvml.NVML_DEVICE_MIG_ENABLE:
        return _Board(gpu, None)
    most = _answer(0, pynvml.nvmlDeviceGetMaxMigDeviceCount, handle)
    handles = (_answer(None, pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index) for index in range(most))
    facts = [_facts(handle) for handle in handles if handle is not None]
    slices = (Gpu(name, capability, memory, uuid, is_slice=True, cpus=cpus) for name, memory, uuid in facts)
    return _Board(gpu, tuple(slices))


def _facts(handle: object) -> tuple[str, int, str]:
    """Name, bytes of memory and UUID."""
    memory = _answer(None, pynvml.nvmlDeviceGetMemoryInfo, handle)
    uuid = _answer("", pynvml.nvmlDeviceGetUUID, handle)
    return str(pynvml.nvmlDeviceGetName(handle)), 0 if memory is None else int(memory.total), str(uuid)


def _cpus_near(handle: object) -> frozenset[int]:
    words = pynvml.nvmlDeviceGetCpuAffinityWithinScope(handle, CPU_WORDS, pynvml.NVML_AFFINITY_SCOPE_NODE)
    return frozenset(64 * number + bit for number, word in enumerate(words) for bit in range(64) if word >> bit & 1)


def _select(boards: list[_Board], visible: str | None) -> list[Gpu]:
    """What CUDA uses of these GPUs.

    A process has at most one MIG slice, and beside it no other GPU (NVIDIA's MIG user guide, "CUDA Device
    Enumeration"). A GPU that is named twice leaves none.
    """
    chosen = [board.parts for board in boards] if visible is None else _named(boards, visible)
    gpus = [gpu for parts in chosen for gpu in parts]
    return next(([gpu] for gpu in gpus if gpu.is_slice), gpus)


def _named(boards: list[_Board], visible: str) -> list[tuple[Gpu, ...]]:
    by_uuid = {gpu.uuid: board.parts for board in boards if (gpu := board.gpu).uuid}
    by_uuid |= {gpu.uuid: (gpu,) for board in boards for gpu in board.slices or () if gpu.uuid}
    chosen: list[tuple[Gpu, ...]] = []
    names: list[str | int] = []
    for entry in (part.strip() for part in visible.split(",")):
        # A UUID may be cut short as long as it is that of one GPU.
        found = [uuid for uuid in by_uuid if uuid.startswith(entry)] if entry.startswith(("GPU-", "MIG-")) else []
        if entry.isdigit() and int(entry) < len(boards):
            names.append(int(entry))
            chosen.append(boards[int(entry)].parts)
        elif len(found) == 1:
            names += found
            chosen.append(by_uuid[found[0]])
        else:
            # CUDA ignores everything from the first invalid entry on.
            break
    return chosen if len(set(names)) == len(names) else []


def slug(gpus: list[Gpu]) -> str:
    """A name for a hardware found by itself, such as ``h100-80gb-hbm3-x8`` or ``cpu``."""
    if not gpus:
        return "cpu"
    name = re.sub(r"^nvidia\s+", "", gpus[0].name.lower())
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-") + f"-x{len(gpus)}"
