"""Sweeps that choose their own runs: Optuna's TPE sampler searches for higher top-1 in less training time.

With a budget, it searches for the highest top-1 within it.

The study is stored in ``RUNS/.sweeps/NAME.journal``. A trial is a point of the search space, and its run is configured
by that point. Rerunning the command resumes interrupted trials, and asks for new points until there are enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.utils import JobReturn

from resnet_exp.core.errors import RequestError
from resnet_exp.core.locks import is_locked
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import text_table
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import Result
from resnet_exp.sweep import grid
from resnet_exp.sweep.goal import FRONT, Goal

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

# Name under which a study keeps its budget.
BUDGET = "budget"
ANEW = "give this search a name of its own with sweep=NAME"

# Runs these overrides, given the number of earlier runs; returns each run with its result, None if it has none.
Launch = Callable[[list[list[str]], int], Sequence[JobReturn]]


@dataclass(frozen=True)
class Settings:
    """Total trials, how many run at a time, the sampler's seed, significant digits of its numbers, and the goal."""

    n_trials: int
    parallel: int
    seed: int
    digits: int
    goal: Goal = FRONT

    def __post_init__(self) -> None:
        for name in ("n_trials", "parallel", "digits"):
            if getattr(self, name) < 1:
                raise RequestError(f"hydra.sweeper.{name}={getattr(self, name)} must be 1 or more")


class Space:
    """The search space, in the syntax of Hydra's overrides, and the overrides that all runs share."""

    def __init__(
        self, loader: ConfigLoader, params: Mapping[str, object], arguments: Sequence[str], digits: int
    ) -> None:
        asked = grid.parse_overrides(loader, arguments)
        ours = grid.parse_overrides(loader, grid.override_lines(params, grid.PARAMS))
        overrides = {key: override for key, override in ours.items() if key not in asked} | asked
        self.fixed = [str(one.input_line) for one in overrides.values() if not one.is_sweep_override()]
        searched = [override for override in overrides.values() if override.is_sweep_override()]
        if not searched:
            raise RequestError(f"{grid.PARAMS} has nothing to search; give ranges such as ssr: interval(0.1,0.5)")
        self.described = " ".join(str(override.input_line) for override in searched)
        self.distributions = {override.get_key_element(): _distribution(override) for override in searched}
        self.digits = digits

    def overrides(self, values: Mapping[str, object]) -> list[str]:
        """Overrides of a point's run; numbers are rounded, so nearby points share one run with a readable id."""
        return [*self.fixed, *(f"{key}={self.text(key, values[key])}" for key in self.distributions)]

    def text(self, key: str, value: object) -> str:
        """A value of the space as text on the command line."""
        if not isinstance(value, float):
            return str(value)
        distribution: Any = self.distributions[key]
        if distribution.step is not None:
            return f"{value:.10g}"
        rounded = float(f"{value:.{self.digits}g}")
        return f"{min(max(rounded, distribution.low), distribution.high):.10g}"


def _distribution(override: Override) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if override.is_choice_sweep():
        return CategoricalDistribution(grid.swept_values(override))
    value: Any = override.value()
    if unknown := sorted(value.tags - {"log"}):
        raise RequestError(f"{override.input_line}: tag {unknown[0]} is unknown; there is log")
    if override.is_range_sweep():
        grid.swept_values(override)  # refuses a range of no values, or of too many
    log = "log" in value.tags
    try:
        if isinstance(value, IntervalSweep):
            low, high, step = value.start, value.end, None
        else:
            assert isinstance(value, RangeSweep)
            numbers = sorted(value.range())
            low, high, step = numbers[0], numbers[-1], abs(value.step)
        assert low is not None and high is not None
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=log, step=int(step or 1))
        if not all(map(math.isfinite, (low, high))):
            raise ValueError("it has no end")
        return FloatDistribution(low, high, log=log, step=step)
    except ValueError as error:
        raise RequestError(f"{override.input_line} cannot be searched: {error}") from error


class Search:
    """A study and what is needed to run it."""

    def __init__(
        self, study: Study, space: Space, settings: Settings, launch: Launch, run_id: Callable[[list[str]], str]
    ) -> None:
        """`run_id` is that of the run with the overrides given."""
        self.study, self.space, self.settings, self.launch, self.run_id = study, space, settings, launch, run_id

    def carry_on(self) -> None:
        """Resume interrupted trials, then ask for new ones until there are enough.

        Raises:
            RequestError: the study belongs to another search, or a run was refused.
        """
        self._check_same()
        batch = self._unfinished()
        while batch or (batch := self.ask(min(self.settings.parallel, self.settings.n_trials - len(self._counted())))):
            self._carry_out(batch)
            batch = []

    def ask(self, count: int) -> list[FrozenTrial]:
        """Ask for new points; each is a trial that waits for its result."""
        from optuna.samplers import TPESampler

        batch = []
        for _ in range(count):
            # Seeded by trial number, so that a resumed search does not repeat its random sequence.
            seed = self.settings.seed + len(self._trials())
            self.study.sampler = TPESampler(seed=seed, constant_liar=True)
            try:
                number = self.study.ask(self.space.distributions).number
            except ValueError as error:
                raise RequestError(f"sweep={self.study.study_name} had other choices until now; {ANEW}") from error
            batch.append(self._trials()[number])
        return batch

    def overrides(self, trials: Sequence[FrozenTrial]) -> list[list[str]]:
        """Overrides of the run of each trial."""
        return [self.space.overrides(trial.params) for trial in trials]

    def summary(self) -> str:
        """The Pareto-optimal runs, the fastest first; with a budget, the best run within it."""
        counted, finished, goal = self._counted(), self._finished(), self.settings.goal
        failed, over = len(counted) - len(finished), sum(not goal.is_within(trial.values) for trial in finished)
        parts = [f"{len(counted)} trials", f"{failed} failed" * bool(failed), f"{over} over {goal.text}" * bool(over)]
        said = f"sweep {self.study.study_name}: {', '.join(filter(None, parts))}"
        if over == len(finished):
            return said
        best = {self.study.user_attrs[_run_of(trial)]: trial for trial in self.study.best_trials}
        what = "cost" if goal.budget is not None and goal.budget.axis == "cost_usd" else "trained"
        rows: list[tuple[str, ...]] = [("top-1", what, *self.space.distributions, "run")]
        for run, trial in sorted(best.items(), key=lambda item: self._cost(item[1])):
            chosen = (self.space.text(key, trial.params[key]) for key in self.space.distributions)
            rows.append((f"{trial.values[0]:.2%}", goal.cost_text(self._cost(trial)), *chosen, run))
        found = f"the best within {goal.text}" if goal.budget else "no run is both better and faster than one of these"
        return "\n".join([f"{said}; {found}:", *text_table(rows)])

    def _cost(self, trial: FrozenTrial) -> float:
        """Seconds or dollars of the run of a trial."""
        return self.study.user_attrs[_cost_of(trial)] if self.settings.goal.budget else trial.values[1]

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _finished(self) -> list[FrozenTrial]:
        return [trial for trial in self._trials() if trial.state.name == "COMPLETE"]

    def _counted(self) -> list[FrozenTrial]:
        return [trial for trial in self._trials() if _refused(trial) not in self.study.user_attrs]

    def _check_same(self) -> None:
        """Refuse a study with another goal, or whose first runs used another model, dataset or machine."""
        goal, before = self.settings.goal.text, self.study.user_attrs.get(BUDGET, "")
        if self._trials() and goal != before:
            had = f"a budget of {before}" if before else "no budget"
            raise RequestError(f"sweep={self.study.study_name} had {had} until now; {ANEW}")
        if goal:
            self.study.set_user_attr(BUDGET, goal)
        for trial in self._finished()[-1:]:
            if trial.params.keys() != self.space.distributions.keys():
                searched = ", ".join(sorted(trial.params))
                raise RequestError(f"sweep={self.study.study_name} searched {searched} until now; {ANEW}")
            before, now = self.study.user_attrs[_run_of(trial)], self.run_id(self.space.overrides(trial.params))
            if before != now:
                raise RequestError(
                    f"sweep={self.study.study_name} was begun with other settings: {before} would be {now} now; {ANEW}"
                )

    def _unfinished(self) -> list[FrozenTrial]:
        """Trials without a recorded result: their runs were interrupted, or have finished meanwhile."""
        unfinished = []
        for trial in self._trials():
            if trial.state.is_finished():
                continue
            if trial.params.keys() == self.space.distributions.keys():
                unfinished.append(trial)
            else:  # interrupted while the trial was being created
                self._refuse(trial)
        return unfinished

    def _carry_out(self, batch: list[FrozenTrial]) -> None:
        counted = [trial.number for trial in self._counted()]
        for trial in batch:
            chosen = " ".join(f"{key}={self.space.text(key, value)}" for key, value in trial.params.items())
            console.say(f"trial {counted.index(trial.number) + 1} of {self.settings.n_trials}: {chosen}")
        points = self.overrides(batch)
        try:
            jobs = self.launch(points, len(self._trials()) - len(batch))
        except RequestError:
            for trial in batch:
                self._refuse(trial)
            raise
        for trial, point, job in zip(batch, points, jobs, strict=True):
            self._tell(trial, point, job)

    def _tell(self, trial: FrozenTrial, point: list[str], job: JobReturn) -> None:
        from optuna.trial import TrialState

        result: Result | None = job.return_value
        if result is not None:
            goal = self.settings.goal
            self.study.set_user_attr(_run_of(trial), self.run_id(point))
            if goal.budget is not None:
                self.study.set_user_attr(_cost_of(trial), goal.cost(result))
            self.study.tell(trial.number, goal.values(result))
        elif is_locked(RunFolder(Path(str(job.working_dir))).lock):
            raise RequestError(f"{job.working_dir} is already running; wait for it, then rerun the same command")
        else:
            self.study.tell(trial.number, state=TrialState.FAIL)

    def _refuse(self, trial: FrozenTrial) -> None:
        """Close a trial without a run; it does not count."""
        from optuna.trial import TrialState

        self.study.set_user_attr(_refused(trial), True)
        self.study.tell(trial.number, state=TrialState.FAIL)


def _run_of(trial: FrozenTrial) -> str:
    return f"run {trial.number}"


def _cost_of(trial: FrozenTrial) -> str:
    return f"cost {trial.number}"


def _refused(trial: FrozenTrial) -> str:
    return f"refused {trial.number}"


def open_study(path: Path | None, name: str, goal: Goal = FRONT) -> Study:
    """Open the study in a journal, created if needed with this goal; a study in memory if there is no path.

    Raises:
        RequestError: the journal cannot be read.
    """
    import optuna
    from optuna.storages import InMemoryStorage, JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = JournalStorage(JournalFileBackend(str(path))) if path else InMemoryStorage()
        return optuna.create_study(storage=storage, study_name=name, directions=goal.directions, load_if_exists=True)
    except (ValueError, KeyError) as error:
        raise RequestError(f"{path} is damaged ({error}); remove it to start a new search") from error
