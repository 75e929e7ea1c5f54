"""What top-1 a planned run should reach, as far as runs like it have shown. No torch."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import Any

from resnet_exp import check, identity
from resnet_exp.estimate import History
from resnet_exp.published_runs import published
from resnet_exp.records import Run

Known = dict[int, list[float]]
# Runs that end at the first evaluation that reaches a top-1 do not say what the whole schedule reaches.
FIRST_HIT = "to "


def top1_text(config: dict[str, Any], history: History) -> str:
    """The expected top-1 in words: own runs first, published ones next, else that nothing is known.

    Only what was trained for as many epochs counts, or else what lies on both sides of it.
    """
    length, unit = check.scaled_duration(config)
    if unit != "ep":
        return "not known for a schedule in batches"
    twins = [result["top1"] for result in history.alike(config) if result.get("group") == identity.group(config)]
    if twins:
        return f"{_mean(twins)}, {_runs(len(twins))} of yours that differ at most in the seed"
    for known, whose in ((_own(config, history), "yours"), (_published(config), "published")):
        if text := _around(known, length, whose):
            return text
    return "not known: no run like it"


def _around(known: Known, epochs: int, whose: str) -> str | None:
    if epochs in known:
        return f"{_mean(known[epochs])} after as many epochs, {_runs(len(known[epochs]))}, {whose}"
    shorter, longer = [each for each in known if each < epochs], [each for each in known if each > epochs]
    if not shorter or not longer:
        return None
    low, high = max(shorter), min(longer)
    return f"between {_mean(known[low])} ({low} epochs) and {_mean(known[high])} ({high} epochs), {whose}"


def _own(config: dict[str, Any], history: History) -> Known:
    known: Known = defaultdict(list)
    names, sizes = sorted(config["algorithms"]), config["resolution"]
    for result in history.alike(config):
        same = all(result["evaluation"][key] == sizes[key] for key in ("eval_resize", "eval_crop"))
        if same and result.get("algorithms") == names:
            known[result["epochs"]].append(result["top1"])
    return known


def _published(config: dict[str, Any]) -> Known:
    known: Known = defaultdict(list)
    for run in published():
        if _is_like(run, config):
            assert run.epochs is not None
            known[int(run.epochs)].append(run.top1)
    return known


def _is_like(run: Run, config: dict[str, Any]) -> bool:
    mine = (config["recipe"], config["model"]["name"], config["dataset"]["name"], config["resolution"]["eval_crop"])
    whole = run.epochs is not None and not run.clock.startswith(FIRST_HIT)
    return whole and mine == (run.recipe, run.model, run.dataset, run.eval_crop)


def _mean(values: list[float]) -> str:
    mean = f"{statistics.fmean(values):.2%}"
    if len(values) == 1:
        return mean
    error = statistics.stdev(values) / len(values) ** 0.5
    return f"{mean} ± {100 * error:.2f}"


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"
