"""Collect run folders for the report: finished runs with their curves, and the states of the others.

A folder may hold thousands of runs, so only two small files of each run are read.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import read_bytes
from resnet_exp.core.terminal.text import printable
from resnet_exp.results import datasets, parse
from resnet_exp.results.record import RunRecord
from resnet_exp.runs import sweep_manifest
from resnet_exp.runs.folder import CANNOT_BE_READ, RunFolder, is_run, list_runs
from resnet_exp.runs.result import parse_result
from resnet_exp.runs.states import KINDS, UNREADABLE, RunState, collect_states


@dataclass(frozen=True)
class Collected:
    """The runs of some folders, each run once.

    Attributes:
        runs: the finished ones.
        states: the others, in the order of their folders.
        unreadable: finished runs whose result cannot be used, and folders and files of sweeps that cannot be read: the
            path, and the reason in one line.
    """

    runs: list[RunRecord] = field(default_factory=list[RunRecord])
    states: list[RunState] = field(default_factory=list[RunState])
    unreadable: list[tuple[Path, str]] = field(default_factory=list[tuple[Path, str]])

    def counts(self) -> dict[str, int]:
        """Number of runs of each kind that occurs: done, unreadable, and `resnet_exp.runs.states.KINDS`."""
        found = Counter({"done": len(self.runs), UNREADABLE: len(self.unreadable)})
        found.update(state.kind for state in self.states)
        return {kind: found[kind] for kind in ("done", UNREADABLE, *KINDS) if found[kind]}


def collect_runs(folders: Sequence[Path], others: Iterable[RunRecord] = ()) -> Collected:
    """Every run of some folders, each of which is a run folder or a folder of runs.

    A run that is found twice, even as a copy, counts once.

    Args:
        folders: where to look.
        others: finished runs from elsewhere, such as W&B.

    Raises:
        RequestError: one of them is not a folder.
    """
    collected = Collected()
    seen: set[object] = set()
    for given in folders:
        folder = given.absolute()
        try:
            if is_run(folder):
                _collect(folder.parent, [folder.name], collected, seen)
            elif folder.is_dir():
                _collect(folder, _names(folder, collected), collected, seen)
            else:
                raise RequestError(f"{given} is not a folder; give run folders, or the runs_dir of a sweep")
        except OSError as error:
            collected.unreadable.append((folder, CANNOT_BE_READ.format(error.strerror)))
    collected.runs.extend(run for run in others if _is_new(run, seen))
    return replace(collected, runs=datasets.with_names(_distinct(collected.runs)))


def in_turns(runs: Iterable[RunRecord]) -> list[RunRecord]:
    """The first run of each configuration, then the second ones, and so on: a prefix covers all configurations."""
    seen: Counter[str] = Counter()
    turns: list[tuple[int, RunRecord]] = []
    for run in runs:
        turns.append((seen[run.group], run))
        seen[run.group] += 1
    return [run for _, run in sorted(turns, key=lambda turn: turn[0])]


def configs(runs: Iterable[RunRecord], most: int) -> dict[str, str]:
    """``config.yaml`` of runs by run id, `most` bytes at most: one of each configuration before a second of any."""
    found: dict[str, str] = {}
    for run in in_turns(runs):
        if run.path is None:
            continue
        try:
            text = read_bytes(RunFolder(Path(run.path)).config).decode()
        except (OSError, ValueError):
            continue
        most -= len(text)
        if most < 0:
            break
        found[run.run_id] = text
    return found


def _collect(runs_dir: Path, names: Iterable[str], collected: Collected, seen: set[object]) -> None:
    """Add the runs of one folder."""
    unfinished: list[str] = []
    for name in names:
        path = os.path.join(runs_dir, name)
        try:
            result = parse_result(read_bytes(os.path.join(path, "result.json")))
            run = parse.run_of_result(result, printable(name), _curve(path), printable(path))
        except (FileNotFoundError, NotADirectoryError):
            unfinished.append(name)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            _add_once(collected.unreadable, (Path(path), f"result.json: {why}"), path, seen)
        else:
            if _is_new(run, seen):
                collected.runs.append(run)
    if unfinished:
        # A run may have ended since; the next report will include it.
        for state in collect_states(runs_dir, unfinished):
            _add_once(collected.states, state, state.path, seen)


def _is_new(run: RunRecord, seen: set[object]) -> bool:
    """Whether a run was not seen yet. Copies are found by their times: no two trainings take exactly the same time."""
    key = (run.recipe, run.group, run.seed, run.train_seconds, run.top1)
    new = key not in seen
    seen.add(key)
    return new


def _add_once(found: list[Any], one: Any, path: Path | str, seen: set[object]) -> None:
    place = os.path.realpath(path)
    if place not in seen:
        seen.add(place)
        found.append(one)


def _names(runs_dir: Path, collected: Collected) -> list[str]:
    """Runs that have a folder, and those that are in some sweep; adds what cannot be read."""
    damaged: dict[Path, str] = {}
    manifests = sweep_manifest.read_manifests(runs_dir, damaged)
    names, unreadable = list_runs(runs_dir)
    damaged |= {runs_dir / name: CANNOT_BE_READ.format(why) for name, why in unreadable.items()}
    collected.unreadable.extend(sorted(damaged.items()))
    listed = {run.run_id for manifest in manifests for run in manifest.runs}
    return sorted(listed.union(names).difference(unreadable))


def _distinct(runs: Iterable[RunRecord]) -> list[RunRecord]:
    """Rename runs whose folders have the same name."""
    taken: Counter[str] = Counter()
    distinct: list[RunRecord] = []
    for run in runs:
        taken[run.run_id] += 1
        again = taken[run.run_id]
        distinct.append(run if again == 1 else replace(run, run_id=f"{run.run_id}~{again}"))
    return distinct


def _curve(path: str) -> parse.Curve:
    """The curve of a run folder; empty if it has no valid one, since the result does not depend on it."""
    try:
        return parse.parse_curve(read_bytes(os.path.join(path, "metrics.jsonl")))
    except (OSError, ValueError):
        return ()
