"""The submission in progress in a folder of runs, so that its jobs are known even if the submitting process is killed.

Between sbatch's answer and the write of the manifest, SLURM has jobs that no file records. So they are recorded
before, in ``RUNS/.sweeps/.submission``. The next submission asks SLURM for jobs whose script has that submission's
token.
Standard library only until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resnet_exp.core import slurm
from resnet_exp.core.files import SCHEMA, read_json, write_json, writing
from resnet_exp.runs import sweep_manifest

NAME = ".submission"


def begin(runs_dir: Path, token: str, folder: Path, tasks: Sequence[dict[str, Any]], record: dict[str, Any]) -> None:
    """Record what is about to be submitted: one array of `tasks`, with submitit's files in `folder`.

    `record` is the manifest of the sweep without these jobs.
    """
    described = {"token": token, "folder": str(folder.absolute()), "tasks": list(tasks)}
    with writing(f"runs_dir={runs_dir}"):
        write_json(submission_path(runs_dir), {"schema": SCHEMA, **described, "manifest": record})


def end(runs_dir: Path) -> None:
    """End the submission: its jobs are in the manifest."""
    submission_path(runs_dir).unlink(missing_ok=True)


def jobs(runs_dir: Path) -> dict[str, str]:
    """Jobs of a submission in progress that are in the queue and in no manifest, by run id."""
    found = read_json(submission_path(runs_dir))
    return queued_jobs(runs_dir, found) or {} if found else {}


def submission_path(runs_dir: Path) -> Path:
    """File that records what is being submitted into a folder of runs."""
    return runs_dir / sweep_manifest.FOLDER / NAME


def queued_jobs(runs_dir: Path, found: dict[str, Any]) -> dict[str, str] | None:
    """The job of each run of the recorded submission; empty if none is queued, None if SLURM does not answer."""
    scripts = slurm.scripts(found["manifest"]["sweep"])
    if scripts is None:
        return None
    known = {job.partition("_")[0] for job in sweep_manifest.jobs(sweep_manifest.read_manifests(runs_dir)).values()}
    ours = [job for job, script in scripts.items() if job not in known and _has(script, found["token"])]
    if not ours:
        return {}
    run_ids = [Path(task["folder"]).name for task in found["tasks"]]
    return {run_id: ours[0] if len(run_ids) == 1 else f"{ours[0]}_{number}" for number, run_id in enumerate(run_ids)}


def _has(script: str, token: str) -> bool:
    try:
        return token in Path(script).read_text()
    except OSError:
        return False
