"""How a planned sweep is carried out: in turn, in a pool on this machine, or on SLURM.

Each function returns the exit code of the sweep. Runs that are done are skipped, running and queued ones left alone,
broken ones go on: the same command again is the whole retry.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from resnet_exp.core import console
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED
from resnet_exp.runs import environment, status_table, submission, sweep_manifest
from resnet_exp.runs.states import RunState
from resnet_exp.sweep.compose import Planned, Sweep, write_manifest
from resnet_exp.sweep.launchers import slurm, watch
from resnet_exp.sweep.launchers.frontier_tracker import tracked
from resnet_exp.sweep.launchers.local import Pool

Attempt = Callable[[dict[str, Any]], int]
SHOWN = 5
STATUS = "python -m resnet_exp.status"


def in_turn(sweep: Sweep, attempt: Attempt) -> int:
    """Run one after the other in this process; `attempt` carries out one configuration and returns its exit code."""
    with sweep_manifest.own(sweep.runs_dir, sweep.name), tracked(sweep) as tracker:
        todo = _begin(sweep, "basic")
        code, done = EXIT_DONE, len(sweep.runs) - len(todo)
        tracker.saw(done)
        for number, run in enumerate(todo, 1):
            if len(sweep.runs) > 1:
                console.say(f"[{number}/{len(todo)}] {' '.join(run.own)}")
            code = max(code, ended := attempt(run.config))
            done += ended == EXIT_DONE
            tracker.saw(done)
            if code == EXIT_INTERRUPTED:
                break
    return _end(sweep.states(), code, show=len(sweep.runs) > 1)


def pooled(sweep: Sweep, settings: dict[str, Any]) -> int:
    """Run on this machine, several at a time."""
    code = EXIT_DONE
    with sweep_manifest.own(sweep.runs_dir, sweep.name), tracked(sweep) as tracker:
        todo = _begin(sweep, "submitit_local")
        pool = Pool(todo, settings["parallel"])
        try:
            watch.watch(sweep, settle=0, alive=pool.advance, saw_done=tracker.saw)
        except KeyboardInterrupt:
            console.say("stopping: each run saves a checkpoint first")
            code = EXIT_INTERRUPTED
        finally:
            pool.close()
    return _end(sweep.states(), code)


def on_slurm(sweep: Sweep, settings: dict[str, Any]) -> int:
    """Submit as one array, and wait for it unless ``hydra.launcher.wait=false``."""
    submitted = False
    try:
        with sweep_manifest.submitting(sweep.runs_dir):
            submission.recover(sweep.runs_dir)
            todo = _todo(sweep)
            if not todo:
                write_manifest(sweep, "slurm", {})
            else:
                began = time.monotonic()
                jobs = slurm.submit(sweep, todo, settings)
                arrays = ", ".join(sorted({job.partition("_")[0] for job in jobs.values()}))
                took = console.span(time.monotonic() - began)
                console.say(f"submitted {len(jobs)} run{'s' * (len(jobs) != 1)} as job {arrays} in {took}")
        submitted = True
        console.say(f"sweep {sweep.name}; {STATUS} {sweep.runs_dir} shows it at any time")
        if not settings["wait"]:
            return EXIT_DONE
        with tracked(sweep) as tracker:
            ended = watch.watch(sweep, saw_done=tracker.saw)
        return _end(ended)
    except KeyboardInterrupt:
        if submitted:
            console.say(f"left; the jobs go on: {STATUS} {sweep.runs_dir} shows them")
            console.say(f"scancel --name={sweep.name} ends them")
        else:
            console.say("stopped before all runs were submitted; the same command submits the rest")
        return EXIT_INTERRUPTED


def _begin(sweep: Sweep, launcher: str) -> list[Planned]:
    """Write the manifest, and return the runs that are to be started."""
    todo = _todo(sweep)
    write_manifest(sweep, launcher, {run.run_id: None for run in todo})
    return todo


def _todo(sweep: Sweep) -> list[Planned]:
    """Say what is there already, and return the runs that are to be started."""
    states = {state.run_id: state for state in sweep.states()}
    by_kind = {
        kind: [run for run in sweep.runs if states[run.run_id].kind == kind] for kind in ("done", "running", "queued")
    }
    if by_kind["done"]:
        console.say(f"note: {len(by_kind['done'])} of {len(sweep.runs)} runs are done already and are skipped")
        _note_commits(by_kind["done"])
    there = [states[run.run_id] for kind in ("running", "queued") for run in by_kind[kind]]
    for state in there[:SHOWN]:
        console.say(f"note: left alone: {status_table.line(state)}")
    if len(there) > SHOWN:
        console.say(f"note: {len(there) - SHOWN} more are running or queued and left alone")
    return [run for run in sweep.runs if states[run.run_id].kind not in by_kind]


def _note_commits(done: list[Planned]) -> None:
    now = (environment.git() or {}).get("commit")
    others = sorted({str(commit)[:12] for run in done if (commit := environment.commit_of(run.folder)) != now})
    if others:
        console.say(f"note: some were made at other commits ({', '.join(others)}; this is {str(now)[:12]})")


def _end(states: list[RunState], code: int = EXIT_DONE, show: bool = True) -> int:
    if show:
        status_table.show(states)
    if code in (EXIT_INTERRUPTED, EXIT_BAD_REQUEST):
        return code
    return EXIT_DONE if all(state.kind == "done" for state in states) else EXIT_FAILED
