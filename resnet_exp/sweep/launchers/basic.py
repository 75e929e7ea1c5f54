"""``hydra/launcher=basic``: one run after the other, in this process."""

from __future__ import annotations

from resnet_exp.core.errors import EXIT_DONE, EXIT_INTERRUPTED
from resnet_exp.core.terminal import console
from resnet_exp.runs import sweep_manifest
from resnet_exp.sweep.launchers.common import Attempt, end_sweep, runs_to_start
from resnet_exp.sweep.launchers.frontier_tracker import tracked
from resnet_exp.sweep.planned import Sweep, write_sweep


def in_turn(sweep: Sweep, attempt: Attempt) -> int:
    """Run one after the other in this process; `attempt` runs one configuration and returns its exit code."""
    with sweep_manifest.own_sweep(sweep.runs_dir, sweep.name), tracked(sweep) as tracker:
        todo = runs_to_start(sweep)
        write_sweep(sweep, "basic", dict.fromkeys(run.run_id for run in todo))
        code, done = EXIT_DONE, len(sweep.runs) - len(todo)
        tracker.saw(done)
        for number, run in enumerate(todo, 1):
            if len(sweep.runs) > 1:
                console.say(f"[{number}/{len(todo)}] {' '.join(run.varied_overrides)}")
            code = max(code, ended := attempt(run.config))
            done += ended == EXIT_DONE
            tracker.saw(done)
            if code == EXIT_INTERRUPTED:
                break
    return end_sweep(sweep, sweep.states(), code, show=len(sweep.runs) > 1)
