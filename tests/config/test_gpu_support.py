"""GPUs that the installed torch, or the driver, cannot use are refused before anything is converted or trained."""

from __future__ import annotations

import platform
from pathlib import Path

import pynvml
import pytest

from resnet_exp.config.checks import gpu_support, validate
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine import devices, torch_build
from resnet_exp.core.machine.torch_build import TorchBuild, has_kernels
from resnet_exp.launch.run import launch_run
from support.configs import make_config
from support.fake_nvml import FakeGpu, fake_nvml, raising
from support.paths import pages_of_errors

DIGITS = ("recipe=mild", "dataset=digits", "data=synthetic")
NEW = TorchBuild("2.14.1+cu130", (13, 0)), "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120"
CUDA12 = TorchBuild("2.7.0+cu126", (12, 6)), "sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90"
CPU = TorchBuild("2.7.0", None), ""
B200 = "NVIDIA B200", (10, 0)
GH200 = "NVIDIA GH200 480GB", (9, 0)
H100 = "NVIDIA H100 80GB HBM3", (9, 0)
V100 = "Tesla V100-SXM2-16GB", (7, 0)
K80 = "Tesla K80", (3, 7)
R470, R550, R570, R580 = ("470.57.02", 11040), ("550.54.15", 12040), ("570.86.15", 12080), ("580.95.05", 13000)
UPDATE = "update the NVIDIA driver ({}) to 580 or later, then run make setup STACK=new"
NO_B200 = f": torch 2.7.0+cu126 has no kernels for NVIDIA B200 (compute capability 10.0), only for {CUDA12[1]}; "
NO_KERNELS = f": torch 2.14.1+cu130 has no kernels for {{}} (compute capability {{}}), only for {NEW[1]}; "
NO_CUDA = " needs a torch with CUDA, torch 2.7.0 has none; "
OLD_DRIVER = ": NVIDIA driver {} runs CUDA {}, torch {} needs CUDA {}; "
OLD_550 = OLD_DRIVER.format("550.54.15", "12.4", "2.14.1+cu130", 13)
# GPU, driver, torch, machine: the line after "hardware=NAME".
REFUSED = {
    (B200, R580, CUDA12, "x86_64"): NO_B200 + "run make setup STACK=new",
    (B200, R570, CUDA12, "x86_64"): NO_B200 + UPDATE.format("570.86.15"),
    (V100, R580, NEW, "x86_64"): NO_KERNELS.format(V100[0], "7.0") + "run make setup STACK=cuda12",
    (K80, R580, NEW, "x86_64"): NO_KERNELS.format(K80[0], "3.7") + "use hardware=cpu",
    (V100, R580, NEW, "aarch64"): NO_KERNELS.format(V100[0], "7.0") + "use hardware=cpu",
    (H100, R550, NEW, "x86_64"): OLD_550 + "run make setup STACK=cuda12, or update it to 580 or later",
    (GH200, R550, NEW, "aarch64"): OLD_550 + "update it to 580 or later",
    (B200, R570, NEW, "x86_64"): OLD_DRIVER.format("570.86.15", "12.8", "2.14.1+cu130", 13)
    + "update it to 580 or later",
    (V100, R470, CUDA12, "x86_64"): OLD_DRIVER.format("470.57.02", "11.4", "2.7.0+cu126", 12)
    + "update it to 525 or later",
    (GH200, R580, CPU, "aarch64"): NO_CUDA + "run make setup STACK=new",
    (GH200, R550, CPU, "aarch64"): NO_CUDA + UPDATE.format("550.54.15"),
    (H100, R550, CPU, "x86_64"): NO_CUDA + "run make setup STACK=cuda12",
}
USED = (
    (B200, R580, NEW, "x86_64"),
    (("NVIDIA GB300", (10, 3)), R580, NEW, "aarch64"),
    (("NVIDIA GeForce RTX 5090", (12, 0)), R580, NEW, "x86_64"),
    (("NVIDIA L40S", (8, 9)), R550, CUDA12, "x86_64"),
    (H100, R580, CUDA12, "x86_64"),
    (B200, R580, (CUDA12[0], "sm_80 compute_90"), "x86_64"),
    (B200, R580, (CUDA12[0], ""), "x86_64"),  # a torch that does not say
)

Case = tuple[tuple[str, tuple[int, int]], tuple[str, int], tuple[TorchBuild, str], str]


def make_machine(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    """A machine with one GPU: what NVIDIA's library, torch and the kernel would say there."""
    (name, capability), (driver, cuda), (torch, architectures), machine = case
    fake_nvml(monkeypatch, [FakeGpu(name, capability)], driver, cuda)
    monkeypatch.setattr(torch_build, "installed_torch", lambda: torch)
    monkeypatch.setattr(torch_build, "kernels", lambda: architectures)
    monkeypatch.setattr(platform, "machine", lambda: machine)


@pytest.mark.parametrize(
    "case", REFUSED, ids=lambda case: f"{case[0][0]}, {case[1][0]}, {case[2][0].version}, {case[3]}"
)
def test_gpus_that_torch_cannot_use_are_refused_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: Case
) -> None:
    make_machine(monkeypatch, case)
    config = make_config(*DIGITS, "hardware=auto", f"runs_dir={tmp_path / 'runs'}")
    with pytest.raises(RequestError) as refused:
        launch_run(config)
    assert str(refused.value) == f"hardware={config.hardware.name}{REFUSED[case]}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", USED, ids=lambda case: f"{case[0][0]}, {case[2][0].version}")
def test_other_gpus_are_used(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    make_machine(monkeypatch, case)
    hardware = make_config(*DIGITS, "hardware=auto").hardware
    assert (hardware.device, hardware.gpu) == ("gpu", case[0][0])
    validate.check_devices(hardware)
    gpu_support.check_kernels(hardware, torch_build.kernels)


def test_a_cpu_needs_neither_driver_nor_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    make_machine(monkeypatch, (B200, R470, CPU, "x86_64"))
    hardware = make_config(*DIGITS, "hardware=cpu").hardware
    validate.check_devices(hardware)
    gpu_support.check_kernels(hardware, torch_build.kernels)


@pytest.mark.parametrize(
    ("architectures", "runs", "does_not_run"),
    [
        ("sm_80 sm_86", [(8, 0), (8, 6), (8, 9)], [(7, 5), (9, 0)]),
        ("sm_86", [(8, 6), (8, 9)], [(8, 0)]),
        ("sm_80 compute_90", [(8, 0), (9, 0), (10, 0), (12, 0)], [(7, 5)]),
        ("sm_90a", [(9, 0)], [(9, 1), (10, 0)]),
        ("compute_90a", [(9, 0)], [(10, 0)]),
        ("sm_100f", [(10, 0), (10, 3)], [(9, 0), (12, 0)]),
        ("sm_120", [(12, 0), (12, 1)], [(10, 0)]),
    ],
)
def test_kernels_run_on_some_gpus(
    architectures: str, runs: list[tuple[int, int]], does_not_run: list[tuple[int, int]]
) -> None:
    assert all(has_kernels(architectures, capability) for capability in runs)
    assert not any(has_kernels(architectures, capability) for capability in does_not_run)


def test_what_torch_was_built_for_is_known_without_importing_it() -> None:
    import torch
    import torch.version

    found = torch_build.installed_torch()
    assert found.cuda is not None
    assert found.version == torch.__version__
    assert found.cuda == tuple(int(part) for part in str(torch.version.cuda).split("."))
    assert torch_build.kernels() == torch._C._cuda_getArchFlags()
    # What the advice relies on.
    assert torch_build.kernels() in [stack.kernels for stack in gpu_support.STACKS if stack.cuda == found.cuda[0]]


def test_a_rank_asks_torch_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ranks that torchrun starts, no launcher of ours has checked anything."""
    from resnet_exp.training.trainer import build_device

    make_machine(monkeypatch, (K80, R580, NEW, "x86_64"))
    hardware = make_config(*DIGITS, "hardware=auto").hardware
    with pytest.raises(RequestError, match="has no kernels for Tesla K80"):
        build_device(hardware)


@pytest.mark.parametrize("there", [0, 2])
def test_a_rank_refuses_other_gpus_than_were_counted(monkeypatch: pytest.MonkeyPatch, there: int) -> None:
    """Ranks take GPUs by number: with another count, two would share one, or a rank had none."""
    import torch

    from resnet_exp.training.trainer import build_device

    make_machine(monkeypatch, (H100, R580, NEW, "x86_64"))
    monkeypatch.setattr(torch._C, "_cuda_getArchFlags", lambda: NEW[1])
    monkeypatch.setattr(torch._C, "_cuda_getDeviceCount", lambda: there)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    hardware = make_config(*DIGITS, "hardware=auto").hardware
    with pytest.raises(RequestError) as refused:
        build_device(hardware)
    plural = "s" if there != 1 else ""
    assert str(refused.value) == (
        f"hardware=h100-80gb-hbm3-x1: CUDA has {there} GPU{plural}, NVML 1; compare nvidia-smi -L with "
        "CUDA_VISIBLE_DEVICES=0, and leave out GPUs that are lost or in use by others"
    )


def test_the_driver_is_none_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", raising(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND))
    assert (devices.nvidia_driver(), devices.visible_gpus()) == (None, [])


def test_the_document_shows_these_lines() -> None:
    text = pages_of_errors()
    for case in ((B200, R580, CUDA12, "x86_64"), (H100, R550, NEW, "x86_64"), (GH200, R580, CPU, "aarch64")):
        assert f"{REFUSED[case]}` |" in text


def test_a_torch_without_cuda_trains_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its builds for CPUs lack what is asked of CUDA."""
    import torch

    from resnet_exp.training.trainer import build_device

    for name in ("_cuda_getArchFlags", "_cuda_getDeviceCount"):
        monkeypatch.delattr(torch._C, name)
    assert build_device(make_config(*DIGITS, "hardware=cpu").hardware).name == "cpu"
