"""The launchers and sweepers of resnet_exp; Hydra accepts such classes from this namespace only.

Imported at every start of every Hydra program in this environment: whatever costs time is imported in functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from resnet_exp.sweep import Sweep


class _Launcher(Launcher):
    """Plans the whole sweep, and gives it to the program's task to carry out in the launcher's `how`."""

    how = ""

    def __init__(self, **settings: Any) -> None:
        self.settings = {
            name: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for name, value in settings.items()
        }

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands over."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Carry out the runs; what became of each is in its folder, and the exit code with the task."""
        from resnet_exp import sweep

        planned = sweep.plan(self.hydra_context.config_loader, self.config, job_overrides)
        task: Any = self.task_function  # a `resnet_exp.cli.Task`
        task.sweep(planned, self.how, self.settings)
        return _returned(planned, job_overrides)


def _returned(planned: Sweep, job_overrides: Sequence[Sequence[str]]) -> list[JobReturn]:
    """The result of each run, None of one that has none."""
    results = {run.run_id: run.folder.read_result() for run in planned.runs}
    returned = []
    for run_id, overrides in zip(planned.asked, job_overrides, strict=True):
        job = JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED)
        job.return_value = results[run_id]
        returned.append(job)
    return returned


class InTurn(_Launcher):
    """``hydra/launcher=basic``: one run after the other."""

    how = "basic"


class Local(_Launcher):
    """``hydra/launcher=submitit_local``: several at a time on this machine."""

    how = "submitit_local"


class Slurm(_Launcher):
    """``hydra/launcher=slurm``: one job array."""

    how = "slurm"


class Grid(BasicSweeper):
    """Hydra's basic sweeper, which leaves it to our launchers to compose each run, once."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands over."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.writes = getattr(task_function, "writes", True)

    def sweep(self, arguments: list[str]) -> Any:
        """As Hydra does; but Hydra's always makes the sweep's folder and leaves a ``multirun.yaml`` in it."""
        if self.writes:
            return super().sweep(arguments)
        assert self.hydra_context is not None and self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        batches = self.split_arguments(overrides, self.max_batch_size)
        return [self.launcher.launch(batch, initial_job_idx=0) for batch in batches]

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Nothing: the launcher composes and checks all runs before it starts the first."""
