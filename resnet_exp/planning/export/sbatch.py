"""A script for sbatch, without submitit: for a site whose rules want one, or to change it by hand."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from resnet_exp.config.schema import SlurmLauncherConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.planning.export import work as of
from resnet_exp.planning.export.work import Work, Written
from resnet_exp.runs import sweep_manifest
from resnet_exp.runs.sweep_manifest import SweepManifest
from resnet_exp.sweep.launchers.slurm import SRUN_ARGS, check_settings, exports, requested

# Settings of hydra.launcher that are options of sbatch, if they are set.
SITE = ("partition", "account", "qos", "constraint", "exclude", "nodelist", "gres", "comment")
LAUNCHER = "hydra/launcher=slurm"

# srun passes USR2 on to the run, which saves a checkpoint and ends.
LAST = """\
again=
step=
trap 'again=yes; [ -z "$step" ] || kill -USR2 "$step"' USR2
srun {options} "${{words[@]}}" &
step=$!
[ -z "$again" ] || kill -USR2 "$step"
wait "$step"; code=$?
while kill -0 "$step" 2>/dev/null; do wait "$step"; code=$?; done
if [ -n "$again" ] && [ "$code" != 0 ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {most} ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""


# Each task writes the same: `resnet_exp status` then knows the jobs of all, also of those that wait.
MANIFEST = """\
mkdir -p {folder}
sed 's/"job": "JOB_/"job": "'"$SLURM_ARRAY_JOB_ID"'_/g' >{path}."$SLURM_JOB_ID" <<'END'
{text}END
mv {path}."$SLURM_JOB_ID" {path}
"""


def words_for_slurm(words: Sequence[str]) -> list[str]:
    """The words with SLURM's launcher, whose settings are this site's."""
    own = [] if any(word.startswith("hydra/launcher=") for word in words) else [LAUNCHER]
    return [*([] if {"-m", "--multirun"} & set(words) else ["-m"]), *words, *own]


def write_script(work: Work, path: str, command: str, settings: SlurmLauncherConfig) -> Written:
    """A batch script; for a sweep it is an array, with a task for each run.

    Args:
        work: what is to be run.
        path: of the file.
        command: that writes the file.
        settings: ``hydra.launcher``.

    Raises:
        RequestError: SLURM cannot do that.
    """
    check_settings(settings)
    names = sorted({config.hardware.name for config in work.runs})
    if len(names) > 1:
        raise RequestError(f"hardware={','.join(names)}: one file has one kind of machine; write one for each hardware")
    if work.search:
        raise RequestError("a search chooses its runs one after the other; start it with hydra/launcher=slurm")
    start = shlex.join(["sbatch", path])
    asked = requested(work.hardware, settings)
    lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in _options(work, settings)), ""]
    lines += [f"# {line}" for line in of.head_of(command, start)]
    lines += [*exports(asked.cpus_per_task, settings), *(settings.setup or [])]
    if work.manifest is not None and len(work.runs) > 1:
        lines.append(_manifest(Path(work.runs[0].runs_dir), work.manifest))
    lines += ['case "${SLURM_ARRAY_TASK_ID:-0}" in']
    lines += [f"{index}) words=({shlex.join(words)}) ;;" for index, words in enumerate(work.run_words)]
    python = settings.python or sys.executable
    options = [*SRUN_ARGS, *(settings.srun_args or []), *(settings.container or []), python, "-m", "resnet_exp"]
    lines += ["esac", LAST.format(options=shlex.join(options), most=settings.max_requeues)]
    return Written("\n".join(lines), start)


def _manifest(runs_dir: Path, manifest: SweepManifest) -> str:
    """Shell lines that write the manifest of the sweep, with the job of each run."""
    runs = tuple(replace(run, job=f"JOB_{index}") for index, run in enumerate(manifest.runs))
    path = sweep_manifest.path_of(runs_dir, manifest.sweep)
    text = sweep_manifest.manifest_text(replace(manifest, runs=runs))
    return MANIFEST.format(folder=shlex.quote(str(path.parent)), path=shlex.quote(str(path)), text=text)


def _options(work: Work, settings: SlurmLauncherConfig) -> list[str]:
    asked = requested(work.hardware, settings)
    several = len(work.runs) > 1
    given: dict[str, object] = {
        "job-name": work.name,
        "chdir": os.getcwd(),
        "output": f"{work.name}-{'%A_%a' if several else '%j'}.log",
        "open-mode": "append",
        "time": settings.timeout_min,
        # To this script, which passes it on.
        "signal": f"B:USR2@{settings.signal_delay_s}",
        "requeue": True,
        "nodes": asked.nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": asked.cpus_per_task,
        "gpus-per-node": asked.gpus_per_node,
        "mem": None if asked.mem_gb is None else f"{asked.mem_gb}GB",
        "array": f"0-{len(work.runs) - 1}%{settings.array_parallelism}" if several else None,
        "exclusive": settings.exclusive,
        **{name: getattr(settings, name) for name in SITE},
        **settings.additional_parameters,
    }
    return [_option(name, value) for name, value in given.items() if value is not None and value is not False]


def _option(name: str, value: object) -> str:
    """A line of the script; sbatch reads it as a shell does not: it knows quotes, and ends it at a line break."""
    text = str(value)
    if re.search(r"[\n\"]", text):
        raise RequestError(f"--{name}={text!r}: a line for sbatch cannot hold quotes or line breaks")
    flag = f"--{name.replace('_', '-')}"
    if value is True:
        return flag
    return f'{flag}="{text}"' if re.search(r"[\s#\\']", text) else f"{flag}={text}"
