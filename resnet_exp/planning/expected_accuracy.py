"""The top-1 that a planned run should reach, based on similar runs."""

from __future__ import annotations

import contextlib
import statistics
from collections import defaultdict
from dataclasses import dataclass

import yaml

from resnet_exp.config import identity, initial_weights, schedule
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.terminal.text import percent_with_error, plural
from resnet_exp.launch import dataset
from resnet_exp.launch.config_file import stored_config
from resnet_exp.planning.lines import Range
from resnet_exp.planning.training_time import History
from resnet_exp.results.published_runs import published
from resnet_exp.results.record import RunRecord
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import FAITHFUL, recipe_text


@dataclass(frozen=True)
class Expected:
    """Lowest and highest top-1 (fractions) of similar runs, None if there are none; and the same with its source."""

    top1: Range | None
    text: str


Known = dict[int, list[float]]
# Runs that stop at the first evaluation that reaches a target do not show what the whole schedule reaches.
FIRST_HIT = "to "


def expected_top1(config: RunConfig, history: History, changed: bool) -> Expected:
    """The expected top-1, from your own runs, else from published ones, else unknown.

    Only runs of the same number of epochs count, or else the closest ones below and above it.

    Args:
        config: of the planned run.
        history: of finished runs.
        changed: whether the run differs from the published recipe.
    """
    length, unit = schedule.scaled_duration(config)
    if unit != "ep":
        return Expected(None, "not known for a schedule in batches")
    if found := _around(_own(config, history), length, "yours"):
        return found
    if changed:
        return Expected(None, "not known: its settings differ from the recipe's, and none of your runs is like it")
    faithful = "" if config.speed.name == FAITHFUL else f", with speed={FAITHFUL}"
    return _around(_published(config), length, f"published{faithful}") or Expected(None, "not known: no run like it")


def _around(known: Known, epochs: int, whose: str) -> Expected | None:
    if epochs in known:
        found = known[epochs]
        text = f"{_mean(found, whose)} after as many epochs, {plural(len(found), 'run')}, {whose}"
        return Expected((min(found), max(found)), text)
    shorter, longer = [each for each in known if each < epochs], [each for each in known if each > epochs]
    if not shorter or not longer:
        return None
    low, high = max(shorter), min(longer)
    ends = [f"{_mean(known[epochs], whose)} ({plural(epochs, 'epoch')})" for epochs in (low, high)]
    both = [*known[low], *known[high]]
    return Expected((min(both), max(both)), f"between {ends[0]} and {ends[1]}, {whose}")


def _own(config: RunConfig, history: History) -> Known:
    """Your own runs, of the same images, that differ at most in seed and length."""
    known: Known = defaultdict(list)
    family, alike = identity.family(config), history.alike(config)
    fingerprint = dataset.fingerprint_of(config) if any(result.data_set_fingerprint for result in alike) else None
    for result in alike:
        if not dataset.may_be_same(result.data_set_fingerprint, fingerprint):
            continue
        run = RunFolder(history.runs_dir / result.run_id)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
            if identity.family(stored_config(run)) == family:
                known[result.epochs].append(result.top1)
    return known


def _published(config: RunConfig) -> Known:
    known: Known = defaultdict(list)
    for run in published():
        if _is_like(run, config):
            assert run.epochs is not None
            known[int(run.epochs)].append(run.top1)
    return known


def _is_like(run: RunRecord, config: RunConfig) -> bool:
    recipe = recipe_text(config.recipe, weights=initial_weights.label(config.init_from))
    mine = (recipe, config.model.name, config.dataset.name, config.resolution.eval_crop)
    whole = run.epochs is not None and not run.clock.startswith(FIRST_HIT)
    return whole and mine == (run.recipe, run.model, run.dataset, run.eval_crop)


def _mean(values: list[float], whose: str) -> str:
    low, mean, high = min(values), statistics.fmean(values), max(values)
    if len(values) == 1 or low == high:
        return f"{mean:.2%}"
    if whose != "yours":
        return f"{low:.2%} to {high:.2%}"  # published values are rounded differently
    return percent_with_error(mean, statistics.stdev(values) / len(values) ** 0.5)
