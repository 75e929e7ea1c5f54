"""A rank of a run whose ranks share the first GPU: ``torchrun -m gpu.one_gpu RUN_DIR``.

NCCL refuses that, gloo does it. Full precision is that of single precision, not TF32: the numbers of two ranks are
compared with those of one.
"""

from __future__ import annotations

import os
import sys

from composer.devices import DeviceGPU

from resnet_exp import train
from resnet_exp.config.schema import HardwareConfig
from resnet_exp.core.machine import devices
from resnet_exp.core.terminal import program
from resnet_exp.training import trainer


class SharedGPU(DeviceGPU):
    """The first GPU, for each rank."""

    dist_backend = "gloo"


def share_gpu() -> None:
    """Count the first GPU once for each rank, and have this rank use it."""
    found = devices.visible_gpus()[:1]
    devices.visible_gpus = lambda: found * int(os.environ["WORLD_SIZE"])
    build = trainer.build_device

    def build_device(hardware: HardwareConfig) -> object:
        return SharedGPU(0, allow_tf32=False) if hardware.device == "gpu" else build(hardware)

    trainer.build_device = build_device


if __name__ == "__main__":
    share_gpu()
    sys.exit(program.run(train.main))
