"""Whether the GPUs of this machine are those that a hardware preset describes: results and costs go by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from resnet_exp.config.own_price import preset_named, preset_names
from resnet_exp.config.schema import HardwareConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine import devices
from resnet_exp.core.machine.devices import Gpu
from resnet_exp.core.terminal.text import plural

# Of a GPU's own memory; drivers keep some of it: 80 GB are 79.6 GiB of an H100, 24 GB are 22.2 GiB of an A10G.
TOLERANCE = 0.1
MEMORY = re.compile(r"(\d+)gb")
# Words of a name that not every driver or preset gives.
BRANDS = {"nvidia", "tesla"}


def check_preset(hardware: HardwareConfig, gpus: Sequence[Gpu]) -> None:
    """Check that the GPUs of a run are those that its hardware names, and the machine one of that price.

    Args:
        hardware: of the run.
        gpus: those that it uses.

    Raises:
        RequestError: they are not.
    """
    if hardware.gpu is None:
        return
    other = next((gpu for gpu in gpus if not is_called(gpu, hardware.gpu)), None)
    if other is not None:
        fitting = "".join(f"|{name}" for name in preset_names() if _fits(preset_named(name), gpus))
        raise RequestError(
            f"hardware={hardware.name} has {hardware.gpu}, this machine has {other.name}"
            f"{_memory(other)}; use hardware=auto{fitting}, or mend hardware.gpu and the price"
        )
    preset, there = preset_named(hardware.name), devices.gpus_of_machine()
    price = preset.get("usd_per_node_hour")
    if price is not None and price == hardware.usd_per_node_hour and there > preset["devices"]:
        raise RequestError(
            f"hardware={hardware.name} is the price of a machine with {plural(preset['devices'], 'GPU')}, this one "
            f"has {there}; use hardware=auto, or give hardware.usd_per_node_hour"
        )


def is_called(gpu: Gpu, name: str) -> bool:
    """Whether a GPU is what a preset calls `name`: ``A100 40GB`` is ``NVIDIA A100-SXM4-40GB``, but no slice of it."""
    wanted, given = _words(name), _words(gpu.name)
    if gpu.is_slice or "mig" in wanted:
        return wanted == given
    sizes = {word for word in wanted - given if MEMORY.fullmatch(word)}
    return wanted - sizes <= given and all(_has_memory(gpu, int(word.removesuffix("gb"))) for word in sizes)


def _fits(preset: dict[str, object], gpus: Sequence[Gpu]) -> bool:
    """Whether a preset with a price describes all of this machine."""
    name, whole = preset.get("gpu"), preset.get("devices") == devices.gpus_of_machine()
    return whole and bool(preset.get("cloud")) and isinstance(name, str) and all(is_called(gpu, name) for gpu in gpus)


def _has_memory(gpu: Gpu, gigabytes: int) -> bool:
    return gpu.memory > 0 and abs(gpu.memory / 2**30 / gigabytes - 1) < TOLERANCE


def _memory(gpu: Gpu) -> str:
    named = any(MEMORY.fullmatch(word) for word in _words(gpu.name))
    return f" ({gpu.memory / 2**30:.0f} GiB)" if gpu.memory and not named else ""


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z0-9.]+", name.lower())) - BRANDS
