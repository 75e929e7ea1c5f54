"""The submission that is under way in a folder of runs, so that its jobs are known even if it is killed.

Between sbatch's answer and the manifest, SLURM has jobs that nobody has written down. What they are is written before:
``RUNS/.sweeps/.submission``. The next submission asks SLURM for jobs whose script has that submission's token.
Standard library only until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_exp.core import console, slurm
from resnet_exp.core.errors import RequestError
from resnet_exp.runs import sweep_manifest
from resnet_exp.runs.folder import SCHEMA, read_json, write_json

if TYPE_CHECKING:
    from resnet_exp.sweep.launchers.slurm_job import SlurmJob

NAME = ".submission"


def begin(runs_dir: Path, token: str, folder: Path, tasks: Sequence[SlurmJob], record: dict[str, Any]) -> None:
    """Write down what is about to be submitted: one array of `tasks`, with submitit's files in `folder`.

    `record` is the manifest of the sweep without these jobs.
    """
    described = {"token": token, "folder": str(folder.absolute()), "tasks": [vars(task) for task in tasks]}
    try:
        write_json(_path(runs_dir), {"schema": SCHEMA, **described, "manifest": record})
    except OSError as error:
        raise sweep_manifest.unwritable(runs_dir, error) from error


def end(runs_dir: Path) -> None:
    """Its jobs are in the manifest."""
    _path(runs_dir).unlink(missing_ok=True)


def jobs(runs_dir: Path) -> dict[str, str]:
    """Jobs of a submission under way that are in the queue and in no manifest, by run id."""
    found = read_json(_path(runs_dir))
    return _jobs(runs_dir, found) or {} if found else {}


def recover(runs_dir: Path) -> None:
    """Finish a submission that was killed: its jobs, if there are any, get what they lack and enter the manifest.

    Raises:
        RequestError: SLURM does not say whether there are any.
    """
    from resnet_exp.sweep.launchers.slurm_job import SlurmJob

    found = read_json(_path(runs_dir))
    if found is None:
        return
    queued = _jobs(runs_dir, found)
    if queued is None:
        raise RequestError("an earlier submission was cut off, and squeue does not say whether it has jobs; try later")
    if queued:
        record = found["manifest"]
        record["runs"] = [{**row, "job": queued.get(row["run_id"], row["job"])} for row in record["runs"]]
        for task in found["tasks"]:
            SlurmJob(**task).keep(Path(found["folder"]), queued[Path(task["folder"]).name])
        sweep_manifest.write(runs_dir, record)
        console.say(f"note: {len(queued)} runs of a submission that was cut off are in the queue")
    end(runs_dir)


def _path(runs_dir: Path) -> Path:
    return runs_dir / sweep_manifest.FOLDER / NAME


def _jobs(runs_dir: Path, found: dict[str, Any]) -> dict[str, str] | None:
    """The job of each run that is about to be submitted, nothing if they are not queued; None when unknown."""
    scripts = slurm.scripts(found["manifest"]["sweep"])
    if scripts is None:
        return None
    known = {job.partition("_")[0] for job in sweep_manifest.jobs(sweep_manifest.read_all(runs_dir)).values()}
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
