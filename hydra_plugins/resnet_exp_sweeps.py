"""The launchers and sweepers of resnet_exp; Hydra finds such classes only in this namespace.

Every Hydra program in this environment imports this file at every start, so slow imports are inside functions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, ListConfig, OmegaConf

if TYPE_CHECKING:
    from resnet_exp.sweep.planned import Sweep


class _Launcher(Launcher):
    """Plans the whole sweep, and passes it to the program's task, which runs it with this launcher."""

    config_class = ""  # name of the class in `resnet_exp.config.schema` with the settings
    search: str | None = None  # search space, if a search is only planned: the launched runs are then examples

    def __init__(self, **settings: Any) -> None:
        self.settings = {name: _plain(value) for name, value in settings.items()}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra passes in."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the sweep; each run's outcome is in its folder, and the task keeps the exit code."""
        from resnet_exp.config import schema
        from resnet_exp.sweep.planned import plan_sweep

        loader = self.hydra_context.config_loader
        remote = isinstance(self, Slurm)
        planned = plan_sweep(loader, self.config, job_overrides, initial_job_idx > 0, remote, self.search)
        task: Any = self.task_function  # a `resnet_exp.cli.HydraTask`
        if task.deferred and not self.config.hydra.sweeper._target_.startswith(f"{__name__}."):
            raise next(iter(task.deferred.values()))  # only our sweepers give such words to the runs
        task.sweep(planned, getattr(schema, self.config_class)(**self.settings))
        return _returned(planned, job_overrides)


def _returned(planned: Sweep, job_overrides: Sequence[Sequence[str]]) -> list[JobReturn]:
    """The result of each run, None if it has none."""
    from resnet_exp.core.errors import RequestError
    from resnet_exp.runs.result import read_result

    folders = {run.run_id: run.folder for run in planned.runs}
    returned = []
    for run_id, overrides in zip(planned.requested_ids, job_overrides, strict=True):
        folder = folders[run_id]
        job = JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED, working_dir=str(folder.path))
        with contextlib.suppress(RequestError):  # a damaged result was reported when its run was refused
            job.return_value = read_result(folder)
        returned.append(job)
    return returned


class InTurn(_Launcher):
    """``hydra/launcher=basic``: one run after the other."""

    config_class = "BasicLauncherConfig"


class Local(_Launcher):
    """``hydra/launcher=submitit_local``: several at a time on this machine."""

    config_class = "LocalLauncherConfig"


class Slurm(_Launcher):
    """``hydra/launcher=slurm``: one job array."""

    config_class = "SlurmLauncherConfig"


class _Sweeper(Sweeper):
    """Uses the launcher that the configuration names."""

    def __init__(self, params: DictConfig | None = None) -> None:
        self.params = _plain(params) or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra passes in."""
        _refuse_foreign(config)
        self.loader, self.master = hydra_context.config_loader, config
        self.task: Any = task_function  # a `resnet_exp.cli.HydraTask`
        self.starter: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )


def _refuse_foreign(config: DictConfig) -> None:
    """Refuse a launcher of another package: it knows neither plans nor what a run needs, and would submit at once."""
    from resnet_exp.core.errors import RequestError

    target = config.hydra.launcher.get("_target_", None)
    if target not in [f"{__name__}.{kind.__name__}" for kind in (InTurn, Local, Slurm)]:
        chosen = config.hydra.runtime.choices["hydra/launcher"]
        raise RequestError(
            f"hydra/launcher={chosen} does not belong to resnet_exp; use hydra/launcher=slurm, which asks for the GPUs "
            "that a run needs and continues it after a time limit, or submitit_local or basic on this machine"
        )


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


class Grid(_Sweeper):
    """``hydra/sweeper=basic``: every combination, and with ``grids`` those of several grids; docs/sweeps.md.

    Unlike Hydra's own, it lets our launchers compose each run once, and record what was requested.
    """

    def __init__(self, params: DictConfig | None = None, grids: ListConfig | None = None) -> None:
        super().__init__(params)
        self.grids = _plain(grids) or []

    def sweep(self, arguments: list[str]) -> Any:
        """Launch all runs at once."""
        from resnet_exp.sweep import grid

        jobs = grid.expand_grid(self.loader, self.params, self.grids, [*arguments, *self.task.deferred])
        return [self.starter.launch(jobs, initial_job_idx=0)]


class Adaptive(_Sweeper):
    """``hydra/sweeper=adaptive``: chooses runs by the results of earlier ones; docs/sweeps.md."""

    def __init__(
        self, params: DictConfig | None, n_trials: int, parallel: int, seed: int, digits: int, budget: str | None = None
    ) -> None:
        super().__init__(params)
        self.settings = {"n_trials": n_trials, "parallel": parallel, "seed": seed, "digits": digits}
        self.budget = budget

    def sweep(self, arguments: list[str]) -> Any:
        """Launch batches of runs until there are ``n_trials``."""
        from resnet_exp.core.terminal import console
        from resnet_exp.launch.dataset import check_same_data
        from resnet_exp.runs import sweep_manifest
        from resnet_exp.sweep.compose import RunComposer
        from resnet_exp.sweep.goal import Goal
        from resnet_exp.sweep.search import Search, Settings, Space, open_study

        settings = Settings(**self.settings, goal=Goal.of(self.budget))
        space = Space(self.loader, self.params, [*arguments, *self.task.deferred], settings.digits)
        composer = RunComposer(self.loader, self.master)

        def run_id(overrides: list[str]) -> str:
            # What earlier trials have found holds for the images that they were trained on.
            check_same_data(config := composer.compose(overrides))
            return config.folder.path.name

        def search(path: Path | None) -> Search:
            return Search(open_study(path, name, settings.goal), space, settings, self._launch, run_id)

        name, runs_dir = self._place()
        example = search(None)
        settings.goal.check_price(composer.compose(example.overrides(example.ask(1))[0]).hardware)
        if not (self.task.writes and self.task.sweep_job):
            # The plan counts and checks as many runs as the search will make, at random points.
            preview = search(None)
            self.starter.search = space.described
            return self.starter.launch(preview.overrides(preview.ask(settings.n_trials)), initial_job_idx=0)
        with sweep_manifest.own_sweep(runs_dir, f"{name}.study"):
            ours = search(sweep_manifest.path_of(runs_dir, name).with_suffix(".journal"))
            ours.carry_on()
            console.say(ours.summary())

    def _place(self) -> tuple[str, Path]:
        """Name of the sweep, and its folder of runs."""
        from resnet_exp.config.checks.values import check_name
        from resnet_exp.core import paths
        from resnet_exp.core.errors import RequestError

        name = self.master.sweep
        if not name:
            raise RequestError("hydra/sweeper=adaptive keeps its study under the sweep's name; set sweep=NAME")
        check_name("sweep", name, "a file")
        if self.master.hydra.launcher.get("wait") is False:
            raise RequestError("hydra.launcher.wait=false: hydra/sweeper=adaptive waits for results; leave it true")
        return name, Path(paths.expanded("runs_dir", self.master.runs_dir)).absolute()

    def _launch(self, points: list[list[str]], earlier: int) -> Sequence[JobReturn]:
        from resnet_exp.core.errors import EXIT_BAD_REQUEST, RequestError

        jobs = self.starter.launch(points, initial_job_idx=earlier)
        if self.task.codes[-1] == EXIT_BAD_REQUEST:
            raise RequestError("the search stops because a run was refused; fix it, then rerun the same command")
        return jobs


class SweepFolder(SearchPathPlugin):
    """Lets ``-cn NAME`` find our sweeps; a file in the user's ``--config-dir`` takes precedence."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the folder to the search path of resnet_exp only, not of other Hydra programs."""
        from resnet_exp.core import paths

        main = str(paths.conf_dir())
        if any(element.provider == "main" and element.path == main for element in search_path.get_path()):
            # Hydra inserts --config-dir before the first entry of this provider, and earlier entries win.
            search_path.append("schema", f"file://{paths.sweeps_dir()}")
