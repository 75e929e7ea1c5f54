"""The submission in progress in a folder of runs, so that its jobs are known even if the submitting process is killed.

Between sbatch's answer and the write of the manifest, SLURM has jobs that no file records. So they are recorded
before, in ``RUNS/.sweeps/.submission``. The next submission asks SLURM for jobs whose script has that submission's
token.
Standard library only until then.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from resnet_exp.core.files import SCHEMA, write_json, writing
from resnet_exp.core.machine import slurm
from resnet_exp.core.records import from_json, read_record
from resnet_exp.runs import sweep_manifest
from resnet_exp.runs.sweep_manifest import SweepManifest

NAME = ".submission"


@dataclass
class Task:
    """One run of a submission.

    Attributes:
        folder: of the run.
        max_requeues: how often its job may start again.
        commit: of the code that submits it.
    """

    folder: str
    max_requeues: int
    commit: str | None


@dataclass(frozen=True)
class Submission:
    """What is about to be submitted: one array.

    Attributes:
        token: in its job's script.
        folder: of submitit's files.
        tasks: in the order of the array.
        manifest: of the sweep, without these jobs.
    """

    token: str
    folder: str
    tasks: tuple[Task, ...]
    manifest: SweepManifest


def begin(runs_dir: Path, submission: Submission) -> None:
    """Record what is about to be submitted."""
    with writing(f"runs_dir={runs_dir}"):
        write_json(submission_path(runs_dir), {"schema": SCHEMA, **asdict(submission)})


def read_submission(runs_dir: Path) -> Submission | None:
    """The submission in progress, None if there is none.

    Raises:
        RequestError: its file is damaged.
    """
    return read_record(submission_path(runs_dir), partial(from_json, Submission))


def end(runs_dir: Path) -> None:
    """End the submission: its jobs are in the manifest."""
    submission_path(runs_dir).unlink(missing_ok=True)


def submission_path(runs_dir: Path) -> Path:
    """File that records what is being submitted into a folder of runs."""
    return runs_dir / sweep_manifest.FOLDER / NAME


def queued_jobs(runs_dir: Path, found: Submission) -> dict[str, str] | None:
    """The job of each run of the recorded submission; empty if none is queued, None if SLURM does not answer."""
    scripts = slurm.scripts(found.manifest.sweep)
    if scripts is None:
        return None
    known = {job.partition("_")[0] for job in sweep_manifest.jobs(sweep_manifest.read_manifests(runs_dir)).values()}
    ours = [job for job, script in scripts.items() if job not in known and _has(script, found.token)]
    if not ours:
        return {}
    run_ids = [Path(task.folder).name for task in found.tasks]
    return {run_id: ours[0] if len(run_ids) == 1 else f"{ours[0]}_{number}" for number, run_id in enumerate(run_ids)}


def _has(script: str, token: str) -> bool:
    try:
        return token in Path(script).read_text()
    except OSError:
        return False
