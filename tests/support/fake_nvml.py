"""A machine with GPUs as NVIDIA's library describes it; only this library is not the real one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import pynvml
import pytest

GIB = 2**30


@dataclass(frozen=True)
class FakeGpu:
    """What NVML says of a GPU, or of a MIG slice; `error`: the code that it answers instead."""

    name: str
    capability: tuple[int, int] = (9, 0)
    gib: float = 80
    uuid: str = ""
    slices: tuple[FakeGpu, ...] | None = None
    cpus: range | None = None
    error: int | None = None


def raising(code: int) -> Callable[..., None]:
    def answer(*_: object) -> None:
        raise pynvml.NVMLError(code)

    return answer


def _by_index(gpus: Sequence[FakeGpu], index: int) -> FakeGpu:
    if (code := gpus[index].error) is not None:
        raise pynvml.NVMLError(code)
    return gpus[index]


def _slice(gpu: FakeGpu, index: int) -> FakeGpu:
    if not gpu.slices or index >= len(gpu.slices):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
    return gpu.slices[index]


def _cpus(gpu: FakeGpu, words: int, _: int) -> list[int]:
    if gpu.cpus is None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    return [sum(1 << cpu - 64 * word for cpu in gpu.cpus if cpu // 64 == word) for word in range(words)]


def _mig_mode(gpu: FakeGpu) -> list[int]:
    if gpu.capability < (8, 0):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    return [int(gpu.slices is not None)] * 2


def fake_nvml(
    monkeypatch: pytest.MonkeyPatch, gpus: Sequence[FakeGpu], driver: str = "580.95.05", cuda: int = 13000
) -> None:
    """Have NVML describe these GPUs; CUDA_VISIBLE_DEVICES is unset."""
    answers: dict[str, Callable[..., object]] = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: len(gpus),
        "nvmlDeviceGetHandleByIndex": lambda index: _by_index(gpus, index),
        "nvmlDeviceGetName": lambda gpu: gpu.name,
        "nvmlDeviceGetUUID": lambda gpu: gpu.uuid,
        "nvmlDeviceGetMemoryInfo": lambda gpu: SimpleNamespace(total=int(gpu.gib * GIB)),
        "nvmlDeviceGetCudaComputeCapability": lambda gpu: gpu.capability,
        "nvmlDeviceGetMigMode": _mig_mode,
        "nvmlDeviceGetMaxMigDeviceCount": lambda gpu: 7,
        "nvmlDeviceGetMigDeviceHandleByIndex": _slice,
        "nvmlDeviceGetCpuAffinityWithinScope": _cpus,
        "nvmlSystemGetDriverVersion": lambda: driver,
        "nvmlSystemGetCudaDriverVersion": lambda: cuda,
    }
    for function, answer in answers.items():
        monkeypatch.setattr(pynvml, function, answer)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
