"""Train image classifiers efficiently: Composer recipes, FFCV data, Hydra configuration."""

import sys
from types import ModuleType

__version__ = "0.1.0"


class _MovedModule(ModuleType):
    """Stand-in for a module that has moved: pickles of jobs that were queued before the move still name it."""

    def __getattr__(self, name: str) -> type:
        if name != "SlurmJob":
            raise AttributeError(name)
        from resnet_exp.sweep.launchers.slurm_job import EarlierJob

        return EarlierJob


sys.modules["resnet_exp.slurm_job"] = _MovedModule("resnet_exp.slurm_job")
