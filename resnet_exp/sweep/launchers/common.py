"""What all launchers share: which runs of a planned sweep to start, and how the sweep ends.

Finished runs are skipped, running and queued ones left alone, failed ones resumed: rerunning the same command retries.
"""

from __future__ import annotations

from collections.abc import Callable

from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED
from resnet_exp.core.terminal import console, program
from resnet_exp.launch.dataset import check_images_named, check_same_data
from resnet_exp.runs import environment, status_table, sweep_manifest
from resnet_exp.runs.command import Git, git
from resnet_exp.runs.states import UNREADABLE, RunState
from resnet_exp.sweep.planned import PlannedRun, Sweep

Attempt = Callable[[RunConfig], int]
SHOWN = 5
LEFT_ALONE = ("running", "queued", UNREADABLE)


def runs_to_start(sweep: Sweep) -> list[PlannedRun]:
    """Print which runs are already done, running or queued, and return the runs to start.

    Raises:
        RequestError: a run names no images, or was trained on others than there are now.
    """
    for run in sweep.runs:
        check_images_named(run.config)
    # A run that is done or goes on must not answer for other images.
    check_same_data(*(run.config for run in sweep.runs))
    states = {state.run_id: state for state in sweep.states()}
    kinds = {run.run_id: _kind(run, states[run.run_id]) for run in sweep.runs}
    by_kind = {kind: [run for run in sweep.runs if kinds[run.run_id] == kind] for kind in ("done", *LEFT_ALONE)}
    for note in sweep_manifest.notes(sweep.runs_dir):
        console.say(f"note: {note}")
    if by_kind["done"]:
        console.say(f"note: {len(by_kind['done'])} of {len(sweep.runs)} runs are already done and are skipped")
        _note_commits(by_kind["done"])
    there = [states[run.run_id] for kind in LEFT_ALONE for run in by_kind[kind]]
    for state in there[:SHOWN]:
        console.say(f"note: left alone: {status_table.line(state)}")
    if len(there) > SHOWN:
        console.say(f"note: {len(there) - SHOWN} more are running, queued or unreadable and left alone")
    todo = [run for run in sweep.runs if kinds[run.run_id] not in by_kind]
    if todo:
        program.work_begins()
    return todo


def _kind(run: PlannedRun, state: RunState) -> str:
    """The state of a run; a result that has not reached its mirror is copied there by starting the run again."""
    missing = run.config.mirror is not None and state.kind == "done" and state.why
    return "failed" if missing else state.kind


def forget_failure(run: PlannedRun) -> None:
    """Remove the failure of an earlier attempt of a run that starts; one of after the training stays until mended."""
    if not run.folder.result.exists():
        run.folder.failure.unlink(missing_ok=True)


def _note_commits(done: list[PlannedRun]) -> None:
    now = _commit(git())
    commits = {_commit(environment.read_environment(run.folder).git) for run in done}
    others = sorted(str(commit)[:12] for commit in commits - {now})
    if others:
        console.say(f"note: some were made at other commits ({', '.join(others)}; this is {str(now)[:12]})")


def _commit(code: Git | None) -> str | None:
    return code.commit if code is not None else None


def end_sweep(sweep: Sweep, states: list[RunState], code: int = EXIT_DONE, show: bool = True) -> int:
    """Show the final states of the runs; returns the exit code of the sweep, whose launcher ended with `code`."""
    if show:
        status_table.show(states)
    if code in (EXIT_INTERRUPTED, EXIT_BAD_REQUEST):
        return code
    runs = {run.run_id: run for run in sweep.runs}
    return EXIT_DONE if all(_kind(runs[state.run_id], state) == "done" for state in states) else EXIT_FAILED
