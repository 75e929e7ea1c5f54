"""The GPUs that are counted are those that CUDA would use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pynvml
import pytest

from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine import devices
from support.configs import make_config
from support.fake_nvml import FakeGpu, fake_nvml, raising
from support.paths import pages_of_errors

H100 = FakeGpu("NVIDIA H100 80GB HBM3")
FOUR = [replace(H100, name=f"H100 number {number}", uuid=f"GPU-{number}a{number}") for number in range(4)]
SLICES = tuple(FakeGpu(f"A100 MIG {n}g.{g}gb", gib=g, uuid=f"MIG-{n}") for n, g in ((1, 5), (2, 10)))
MIG = FakeGpu("A100", (8, 0), 40, "GPU-mig", SLICES)
A100 = FakeGpu("A100", (8, 0), 40, "GPU-whole")


def seen(monkeypatch: pytest.MonkeyPatch, gpus: list[FakeGpu], visible: str | None = None) -> list[str]:
    fake_nvml(monkeypatch, gpus)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    return [gpu.name.removeprefix("H100 number ") for gpu in devices.visible_gpus()]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, "0123"), ("", ""), ("2", "2"), ("3,1", "31"), (" 1 , 0", "10"), ("0,9,1", "0"), ("0,-1,1", "0"),
        ("0,0", ""), ("1,0,1", ""), ("GPU-2a2", "2"), ("GPU-2", "2"), ("GPU-3,GPU-1", "31"), ("GPU-2,GPU-2a2", ""),
        ("GPU-", ""), ("GPU-x", ""), ("GPU-1,GPU-x,GPU-2", "1"), ("NoDevFiles", ""),
    ],
)  # fmt: skip
def test_cuda_visible_devices_is_read_as_cuda_reads_it(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, expected: str
) -> None:
    assert "".join(seen(monkeypatch, FOUR, visible)) == expected


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_NO_PERMISSION, pynvml.NVML_ERROR_GPU_IS_LOST])
def test_gpus_that_are_lost_or_of_others_do_not_count(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    assert seen(monkeypatch, [FOUR[0], replace(FOUR[1], error=code), FOUR[2]]) == ["0", "2"]
    assert devices.gpus_of_machine() == 2


@pytest.mark.parametrize(
    ("gpus", "visible", "expected"),
    [
        ([MIG], None, ["A100 MIG 1g.5gb"]),
        ([MIG, A100], None, ["A100 MIG 1g.5gb"]),
        ([MIG], "MIG-1,MIG-2", ["A100 MIG 1g.5gb"]),
        ([MIG], "MIG-2", ["A100 MIG 2g.10gb"]),
        ([A100, MIG], "GPU-mig", ["A100 MIG 1g.5gb"]),
        ([A100, MIG], "0", ["A100"]),
        ([replace(MIG, slices=())], None, []),
        ([A100, replace(MIG, slices=())], None, ["A100"]),
    ],
)
def test_of_mig_slices_a_process_has_one(
    monkeypatch: pytest.MonkeyPatch, gpus: list[FakeGpu], visible: str | None, expected: list[str]
) -> None:
    assert seen(monkeypatch, gpus, visible) == expected


def test_what_nvml_says_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvml(monkeypatch, [replace(H100, uuid="GPU-1", cpus=range(60, 70)), replace(MIG, cpus=range(2))])
    whole, part = [board.parts[0] for board in devices._boards()]
    assert whole == devices.Gpu(H100.name, (9, 0), 80 * 2**30, "GPU-1", cpus=frozenset(range(60, 70)))
    assert part == devices.Gpu("A100 MIG 1g.5gb", (8, 0), 5 * 2**30, "MIG-1", is_slice=True, cpus=frozenset({0, 1}))


def test_a_driver_that_nvml_cannot_reach_is_not_a_machine_without_gpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It trained on the CPU: a container without NVML has GPUs all the same."""
    monkeypatch.setattr(pynvml, "nvmlInit", raising(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND))
    monkeypatch.setattr(devices, "DRIVER_FILES", (tmp_path / "nvidiactl",))
    assert make_config("recipe=mild", "hardware=auto").hardware.name == "cpu"
    (tmp_path / "nvidiactl").touch()
    with pytest.raises(RequestError, match=r"^hardware=auto: NVIDIA's driver is loaded, but NVML does not work \(NVML"):
        make_config("recipe=mild", "hardware=auto")


def test_gpus_that_differ_are_not_taken_for_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = [H100, FakeGpu("NVIDIA T400", (7, 5), 4)]
    fake_nvml(monkeypatch, gpus)
    with pytest.raises(RequestError) as refused:
        make_config("recipe=mild", "hardware=auto")
    assert str(refused.value) == (
        "hardware=auto: this machine has GPUs that differ (0: NVIDIA H100 80GB HBM3, 1: NVIDIA T400); "
        "set CUDA_VISIBLE_DEVICES"
    )
    assert f"| `{refused.value}` |" in pages_of_errors()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert make_config("recipe=mild", "hardware=auto").hardware.name == "h100-80gb-hbm3-x1"
