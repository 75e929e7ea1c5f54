"""All that is checked, in order, and how the findings are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.finding import Finding
from resnet_exp.core.terminal.text import plural
from resnet_exp.diagnosis.cluster import check_cluster
from resnet_exp.diagnosis.data import check_data
from resnet_exp.diagnosis.disks import check_disks
from resnet_exp.diagnosis.host import check_clock, check_cores, check_notes
from resnet_exp.diagnosis.ranks import check_ranks
from resnet_exp.diagnosis.subject import Subject
from resnet_exp.diagnosis.trackers import check_trackers
from resnet_exp.launch import preflight
from resnet_exp.launch.preflight import Check, Findings

Examine = Callable[[Subject], Findings]


def _of_run(check: Check, subject: Subject) -> Findings:
    return check(subject.config)


# What is printed while it is checked, what is checked, and whether it is of the machine that the run is for: on a login
# node, that machine is another one.
CHECKS: tuple[tuple[str, Examine, bool], ...] = (
    *((name, partial(_of_run, check), here) for name, check, here in preflight.CHECKS),
    ("cores", check_cores, True),
    ("clock", check_clock, False),
    ("run", check_notes, False),
    ("data", check_data, False),
    ("disks", check_disks, False),
    ("SLURM", check_cluster, False),
    ("W&B", check_trackers, False),
    ("torch and ranks", check_ranks, True),
)


def examine(subject: Subject) -> Iterator[Finding]:
    """Make all checks, one after the other; none of them hangs, and none ends the others."""
    elsewhere = subject.slurm is not None
    for name, check, here in CHECKS:
        if here and elsewhere:
            continue
        console.status(f"looking at {name}")
        try:
            yield from check(subject)
        except RequestError as error:
            found, _, fix = str(error).partition("; ")
            yield Finding(name, "bad", found, fix)
    console.status("")
    if elsewhere:
        fix = "run resnet_exp doctor in a job there (srun), with the words of one run"
        yield Finding("devices", "note", "the machines of the jobs cannot be seen from here", fix)


def verdict(findings: Iterable[Finding]) -> str:
    """The last line: ready or not."""
    states = [finding.state for finding in findings]
    notes = plural(states.count("note"), "note")
    if bad := states.count("bad"):
        return f"not ready: {plural(bad, 'line')} marked BAD, {notes}"
    return f"ready, {notes}"
