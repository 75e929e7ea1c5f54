"""Check that the installed torch can use the GPUs of this machine, and name the command that mends it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from resnet_exp.config.schema import HardwareConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine import devices, torch_build
from resnet_exp.core.machine.devices import Driver, Gpu
from resnet_exp.core.terminal.text import plural

# The oldest drivers that run all of a CUDA major version (release notes of the CUDA Toolkit).
DRIVERS = {12: 525, 13: 580}


@dataclass(frozen=True)
class Stack:
    """A set of packages that ``make setup STACK=name`` installs: major version of CUDA, GPUs with kernels, machines."""

    name: str
    cuda: int
    kernels: str
    machines: tuple[str, ...]


# The kernels are those of the torch in requirements.lock and in requirements-cuda12.lock.
STACKS = (
    Stack("new", 13, "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120", ("x86_64", "aarch64")),
    Stack("cuda12", 12, "sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90", ("x86_64",)),
)


def check_torch(hardware: HardwareConfig, gpus: Sequence[Gpu]) -> None:
    """Check that torch was built with CUDA, and with one that the driver runs.

    Raises:
        RequestError: it was not.
    """
    torch, driver = torch_build.installed_torch(), devices.nvidia_driver()
    if torch.cuda is None:
        raise RequestError(
            f"hardware={hardware.name} needs a torch with CUDA, torch {torch.version} has none; "
            f"{_mend(gpus, driver, STACKS)}"
        )
    major = torch.cuda[0]
    if driver is not None and driver.cuda[0] < major:
        others = [stack for stack in STACKS if stack.cuda <= driver.cuda[0]]
        other = f"{_mend(gpus, driver, others)}, or " if _suited(gpus, others) else ""
        raise RequestError(
            f"hardware={hardware.name}: NVIDIA driver {driver.version} runs CUDA {_dotted(driver.cuda)}, torch "
            f"{torch.version} needs CUDA {major}; {other}update it to {_oldest(major)}"
        )


def check_kernels(hardware: HardwareConfig, find_kernels: Callable[[], str | None]) -> None:
    """Check that torch has kernels for the GPUs of a run.

    Args:
        hardware: of the run.
        find_kernels: says for which architectures, such as ``sm_80 sm_90``; if it does not know, nothing is refused.

    Raises:
        RequestError: there are none for one of the GPUs.
    """
    if hardware.device != "gpu" or not (architectures := find_kernels()):
        return
    gpus, torch = devices.visible_gpus()[: hardware.devices], torch_build.installed_torch()
    for gpu in gpus:
        if not torch_build.has_kernels(architectures, gpu.capability):
            others = [stack for stack in STACKS if torch.cuda is None or stack.cuda != torch.cuda[0]]
            raise RequestError(
                f"hardware={hardware.name}: torch {torch.version} has no kernels for {gpu.name} (compute capability "
                f"{_dotted(gpu.capability)}), only for {architectures}; {_mend(gpus, devices.nvidia_driver(), others)}"
            )


def check_count(hardware: HardwareConfig, count_devices: Callable[[], int]) -> None:
    """Check that CUDA has the GPUs that were counted without it: a rank's GPU is known by its number.

    Args:
        hardware: of the run.
        count_devices: says how many CUDA has.

    Raises:
        RequestError: it has another number.
    """
    if hardware.device == "gpu" and (there := count_devices()) != (counted := len(devices.visible_gpus())):
        raise RequestError(
            f"hardware={hardware.name}: CUDA has {plural(there, 'GPU')}, NVML {counted}; compare nvidia-smi -L with "
            f"CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', '')}, and leave out GPUs that are lost or "
            "in use by others"
        )


def _mend(gpus: Sequence[Gpu], driver: Driver | None, stacks: Sequence[Stack]) -> str:
    """What to do to get a torch that can use these GPUs: the first of the stacks that the driver runs, or an update."""
    suited = _suited(gpus, stacks)
    for stack in suited:
        if driver is None or driver.cuda[0] >= stack.cuda:
            return f"run make setup STACK={stack.name}"
    if suited and driver is not None:
        oldest, name = _oldest(suited[0].cuda), suited[0].name
        return f"update the NVIDIA driver ({driver.version}) to {oldest}, then run make setup STACK={name}"
    return "use hardware=cpu"


def _suited(gpus: Sequence[Gpu], stacks: Sequence[Stack]) -> list[Stack]:
    """The stacks for this kind of machine that have kernels for all of these GPUs."""
    return [
        stack
        for stack in stacks
        if platform.machine() in stack.machines
        and all(torch_build.has_kernels(stack.kernels, gpu.capability) for gpu in gpus)
    ]


def _oldest(cuda: int) -> str:
    """The driver that a major version of CUDA needs."""
    return f"{DRIVERS[cuda]} or later" if cuda in DRIVERS else f"one that runs CUDA {cuda}"


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
