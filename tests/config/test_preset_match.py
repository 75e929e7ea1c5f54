"""A hardware preset on another machine is refused: its name and its price would be wrong in every result."""

from __future__ import annotations

import pytest

from resnet_exp.config.checks import validate
from resnet_exp.config.checks.preset_match import is_called
from resnet_exp.config.own_price import preset_named, preset_names
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine import torch_build
from resnet_exp.core.machine.devices import Gpu
from resnet_exp.core.machine.torch_build import TorchBuild
from support.configs import make_config
from support.fake_nvml import FakeGpu, fake_nvml
from support.paths import pages_of_errors

DATA = ("recipe=mild", "dataset=imagenet", "dataset.dir=/data")
# Name of NVML and GiB of memory; the names that presets may have for it.
CALLED = {
    ("NVIDIA A100-SXM4-40GB", 40.0): ("A100", "A100 40GB"),
    ("A100-SXM4-80GB", 80.0): ("A100", "A100 80GB"),
    ("NVIDIA A100 80GB PCIe", 80.0): ("A100", "A100 80GB"),
    ("NVIDIA H100 80GB HBM3", 79.6): ("H100", "H100 80GB"),
    ("NVIDIA H100 PCIe", 79.6): ("H100", "H100 80GB"),
    ("NVIDIA H100 NVL", 93.6): ("H100",),
    ("NVIDIA H200", 140.4): ("H200 141GB", "NVIDIA H200"),
    ("NVIDIA B200", 179.1): ("NVIDIA B200",),
    ("NVIDIA GB200", 184.0): ("NVIDIA GB200",),
    ("NVIDIA L40S", 45.0): ("NVIDIA L40S",),
    ("NVIDIA GH200 480GB", 95.6): ("NVIDIA GH200 480GB",),
    ("NVIDIA GeForce RTX 4090", 24.0): ("NVIDIA GeForce RTX 4090",),
    ("NVIDIA GeForce RTX 5090", 31.8): ("NVIDIA GeForce RTX 5090",),
    ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", 19.6): (),
    ("Tesla V100-SXM2-16GB", 16.0): (),
}
DOC = pages_of_errors().replace("\\|", "|")
NAMES = sorted({name for preset in preset_names() if (name := preset_named(preset).get("gpu"))})


@pytest.mark.parametrize(("machine", "names"), CALLED.items(), ids=lambda case: str(case[0]) if case else "none")
def test_each_gpu_has_the_names_of_its_presets_and_no_other(machine: tuple[str, float], names: tuple[str, ...]) -> None:
    gpu = Gpu(machine[0], (8, 0), int(machine[1] * 2**30), is_slice="MIG" in machine[0])
    assert [name for name in NAMES if is_called(gpu, name)] == sorted(names)
    assert is_called(gpu, gpu.name)


def refusal(monkeypatch: pytest.MonkeyPatch, gpus: list[FakeGpu], *words: str) -> str | None:
    fake_nvml(monkeypatch, gpus)
    monkeypatch.setattr(torch_build, "installed_torch", lambda: TorchBuild("2.14.1+cu130", (13, 0)))
    try:
        validate.check_devices(make_config(*DATA, *words).hardware)
    except RequestError as error:
        return str(error)
    return None


H100 = [FakeGpu("NVIDIA H100 80GB HBM3", gib=79.6)] * 8
A100 = FakeGpu("NVIDIA A100-SXM4-40GB", (8, 0), 40)
GH200 = FakeGpu("NVIDIA GH200 480GB", gib=95.6)


def test_another_gpu_than_the_presets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, H100, "hardware=p4d.24xlarge")
    assert said == (
        "hardware=p4d.24xlarge has A100 40GB, this machine has NVIDIA H100 80GB HBM3; use hardware=auto|BM.GPU.H100.8|"
        "ND96isr_H100_v5|a3-highgpu-8g|lambda_8xh100|p5.48xlarge, or mend hardware.gpu and the price"
    )
    assert f"| `{said}` |" in DOC
    assert refusal(monkeypatch, H100, "hardware=p5.48xlarge") is None
    assert refusal(monkeypatch, [A100] * 8, "hardware=p4d.24xlarge") is None
    said = refusal(monkeypatch, [A100] * 8, "hardware=p4de.24xlarge")
    assert said is not None and said.startswith("hardware=p4de.24xlarge has A100 80GB, this machine has NVIDIA A100-SX")
    said = refusal(monkeypatch, [FakeGpu("NVIDIA H100 NVL", gib=93.6)] * 8, "hardware=p5.48xlarge")
    assert (
        said is not None and "has H100 80GB, this machine has NVIDIA H100 NVL (94 GiB); use hardware=auto, or" in said
    )


def test_one_gpu_among_others_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, [A100] * 7 + H100[:1], "hardware=a100x8")
    assert said is not None and "hardware=a100x8 has A100, this machine has NVIDIA H100 80GB HBM3; " in said


def test_a_slice_is_not_the_whole_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    part = FakeGpu("NVIDIA A100-SXM4-40GB MIG 3g.20gb", (8, 0), 19.6, "MIG-1")
    mig = [FakeGpu(A100.name, (8, 0), 40, slices=(part,))]
    said = refusal(monkeypatch, mig, "hardware=a100x1")
    assert said is not None and said.startswith("hardware=a100x1 has A100, this machine has NVIDIA A100-SXM4-40GB MIG ")
    assert refusal(monkeypatch, mig, "hardware=auto") is None


def test_the_price_of_a_smaller_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, [GH200] * 2, "hardware=lambda_1xgh200")
    assert said == (
        "hardware=lambda_1xgh200 is the price of a machine with 1 GPU, this one has 2; use hardware=auto, or give "
        "hardware.usd_per_node_hour"
    )
    assert f"| `{said}` |" in DOC
    assert refusal(monkeypatch, [GH200] * 2, "hardware=lambda_1xgh200", "hardware.usd_per_node_hour=4") is None
    assert refusal(monkeypatch, [GH200], "hardware=lambda_1xgh200") is None
    # Part of a rented machine costs all of it.
    assert refusal(monkeypatch, H100[:4], "hardware=p5.48xlarge", "hardware.devices=4") is None
