"""This machine beside its devices: cores, clock, and what else is worth a word about the run."""

from __future__ import annotations

import ctypes

from resnet_exp.config.checks import validate, workers
from resnet_exp.core.machine.devices import usable_cpus
from resnet_exp.core.machine.processes import LIBC
from resnet_exp.core.terminal.finding import Finding
from resnet_exp.core.terminal.text import plural
from resnet_exp.diagnosis.subject import Subject
from resnet_exp.launch.preflight import Findings

# What ntp_gettime returns of a clock that nothing synchronizes (sys/timex.h), and more bytes than its answer has.
TIME_ERROR, ANSWER_BYTES = 5, 256


def check_notes(subject: Subject) -> Findings:
    """What the run itself notes in its first lines."""
    for note in validate.notes(subject.config):
        yield Finding("run", "note", note, "leave it if you mean it")


def check_cores(subject: Subject) -> Findings:
    """How many cores each rank and its loader have."""
    hardware, cores = subject.config.hardware, usable_cpus()
    ranks = hardware.ranks_per_node
    loader = plural(workers.num_workers(subject.config), "loader worker")
    yield Finding("cores", "ok", f"{plural(cores, 'core')} for {plural(ranks, 'rank')} with {loader} each")
    for note in workers.core_notes(subject.config):
        yield Finding("cores", "note", note, "take a machine or a job with more cores; docs/gpu.md")


def check_clock(subject: Subject) -> Findings:
    """Whether the kernel knows of a time server."""
    if LIBC.ntp_gettime(ctypes.create_string_buffer(ANSWER_BYTES)) == TIME_ERROR:
        found = "nothing synchronizes the clock of this machine, as far as its kernel knows"
        fix = "start chrony or systemd-timesyncd: SLURM refuses clocks that are minutes off"
        yield Finding("clock", "note", found, fix)
    else:
        yield Finding("clock", "ok", "synchronized")
