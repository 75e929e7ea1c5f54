"""Train image classifiers efficiently: Composer recipes, FFCV data, Hydra configuration."""

import sys
from types import ModuleType

from resnet_exp.core.version import __version__ as __version__


class _MovedModule(ModuleType):
    """Stand-in for a module that has moved: pickles of jobs that were queued before the move still name it."""

    def __getattr__(self, name: str) -> type:
        if name != "SlurmJob":
            raise AttributeError(name)
        from resnet_exp.sweep.launchers.slurm_job import EarlierJob

        return EarlierJob


sys.modules["resnet_exp.slurm_job"] = _MovedModule("resnet_exp.slurm_job")
