"""Train image classifiers efficiently: Composer recipes, FFCV data, Hydra configuration."""

import sys
from types import ModuleType

__version__ = "0.1.0"


class _MovedModule(ModuleType):
    """A module that only pickles of queued jobs still name: those of before the packages were made."""

    def __getattr__(self, name: str) -> type:
        if name != "SlurmJob":
            raise AttributeError(name)
        from resnet_exp.sweep.launchers.slurm_job import EarlierJob

        return EarlierJob


sys.modules["resnet_exp.slurm_job"] = _MovedModule("resnet_exp.slurm_job")
