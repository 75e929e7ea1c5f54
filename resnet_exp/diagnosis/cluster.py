"""SLURM: partitions, their limits, and whether it would take the sweep and start its jobs again."""

from __future__ import annotations

import os
import re

from resnet_exp.config.schema import SlurmLauncherConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine import slurm
from resnet_exp.core.terminal.finding import Finding
from resnet_exp.core.terminal.text import plural, span
from resnet_exp.diagnosis.subject import Subject
from resnet_exp.launch.preflight import Findings
from resnet_exp.sweep.launchers import slurm as slurm_launcher
from resnet_exp.sweep.launchers import trial

SHOWN = 4
DAYS = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)")


def check_cluster(subject: Subject) -> Findings:
    """What SLURM says of its partitions; for a sweep that is to be submitted, what sbatch would say.

    Raises:
        RequestError: the sweep would be refused.
    """
    if not slurm.available():
        if subject.slurm is not None:
            raise RequestError("hydra/launcher=slurm: this machine has no SLURM; use a login node of the cluster")
        return
    listed = slurm.ask("sinfo", "--noheader", "--summarize", "--format=%P|%a|%l|%D|%G")
    if listed is None:
        found = f"sinfo fails, or does not answer within {slurm.TIMEOUT_SECONDS} s"
        state = "note" if subject.slurm is None else "bad"
        yield Finding("SLURM", state, found, "see scontrol ping; a controller that restarts is back in a minute")
        return
    rows = [line.strip().split("|") for line in listed.splitlines() if line.count("|") == 4]
    yield Finding("SLURM", "ok", "; ".join(map(_partition, rows[:SHOWN])) or "no partitions")
    if subject.slurm is not None and subject.sweep is not None:
        yield Finding("SLURM", "ok", trial.ask_sbatch(subject.sweep, subject.slurm))
        if (note := slurm_launcher.no_cpus(subject.config.hardware, subject.slurm)) is not None:
            found, _, fix = note.partition("; ")
            yield Finding("SLURM", "note", found, fix)
        limits = {row[0].removesuffix("*"): row[2] for row in rows}
        usual = next((row[0].removesuffix("*") for row in rows if row[0].endswith("*")), "")
        yield from _limits(subject, subject.slurm, limits, subject.slurm.partition or usual)
    elif slurm.own_job() is not None:
        yield from _own_job(subject)


def _partition(row: list[str]) -> str:
    name, state, limit, nodes, gres = row
    gpus = "" if gres == "(null)" else f" with {gres}"
    return f"{name} {state}, {plural(int(nodes), 'node')}{gpus}, limit {limit}"


def _limits(subject: Subject, settings: SlurmLauncherConfig, limits: dict[str, str], partition: str) -> Findings:
    """The time limit of the partition, and what happens at its end and at a preemption."""
    limit, asked = _seconds(limits.get(partition, "")), 60 * settings.timeout_min
    if limit is not None and asked > limit:
        raise RequestError(
            f"hydra.launcher.timeout_min={settings.timeout_min} exceeds the limit of partition {partition}, "
            f"{limits[partition]}; use {limit // 60} or less: a run that needs more continues in the next job"
        )
    if subject.plan is not None:
        jobs = 1 + int(subject.plan.seconds // max(1, asked - settings.signal_delay_s))
        found = f"a run of about {span(subject.plan.seconds)} takes {plural(jobs, 'job')} of {span(asked)}"
        if jobs > 1 + settings.max_requeues:
            fix = f"raise hydra.launcher.timeout_min, or hydra.launcher.max_requeues={settings.max_requeues} to {jobs}"
            yield Finding("SLURM", "bad", found, fix)
        else:
            yield Finding("SLURM", "ok", found)
    shown = slurm.ask("scontrol", "show", "partition", partition, "--oneliner") or ""
    mode = re.search(r"PreemptMode=(\S+)", shown)
    if mode is not None and "CANCEL" in mode[1]:
        found = f"partition {partition} cancels what it preempts (PreemptMode={mode[1]})"
        yield Finding("SLURM", "note", found, "rerun the same command after a preemption: it continues")
    else:
        yield Finding("SLURM", "ok", f"jobs that are preempted are requeued, at most {settings.max_requeues} times")


def _own_job(subject: Subject) -> Findings:
    """The time that is left of the job that this process is in."""
    answer = (slurm.ask("squeue", "--noheader", "--format=%L", "--jobs", os.environ["SLURM_JOB_ID"]) or "").strip()
    left = _seconds(answer)
    if left is None:
        return
    found = f"this job has {span(left)} left"
    if subject.plan is not None and subject.plan.seconds > left:
        found += f", the run takes about {span(subject.plan.seconds)}"
        fix = "use -m hydra/launcher=slurm, whose jobs requeue themselves; or rerun the same command in the next job"
        yield Finding("SLURM", "note", found, fix)
    else:
        yield Finding("SLURM", "ok", found)


def _seconds(limit: str) -> int | None:
    """``1-00:00:00`` or ``30:00`` in seconds; None for ``infinite`` and the like."""
    match = DAYS.fullmatch(limit)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return 86400 * days + 3600 * hours + 60 * minutes + seconds
