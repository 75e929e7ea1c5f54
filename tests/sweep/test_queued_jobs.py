"""Jobs that wait in a queue while the code changes: they still run, or are refused in one line."""

from __future__ import annotations

import base64
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from submitit.core.utils import DelayedSubmission, JobPaths

from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import read_json
from resnet_exp.launch.config_file import read_config, write_config
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.states import collect_states
from resnet_exp.sweep.launchers.slurm_job import SlurmJob
from support.configs import make_config

# Jobs with these bytes wait in queues: modules, names and fields that change must go on to take them.
QUEUED = SlurmJob("/runs/mine", 50, "0123abcd")
QUEUED_BYTES = """
gASVeAAAAAAAAACMJHJlc25ldF9leHAuc3dlZXAubGF1bmNoZXJzLnNsdXJtX2pvYpSMCFNsdXJtSm9ilJOUKYGUfZQojAZmb2xk
ZXKUjAovcnVucy9taW5llIwMbWF4X3JlcXVldWVzlEsyjAZjb21taXSUjAgwMTIzYWJjZJR1Yi4=
"""
EARLIER = """\
import sys, types, resnet_exp
class SlurmJob:
    def __init__(self, folder): self.folder, self.max_requeues, self.commit = folder, 50, None
SlurmJob.__module__ = "resnet_exp.slurm_job"
sys.modules["resnet_exp.slurm_job"] = types.ModuleType("resnet_exp.slurm_job")
sys.modules["resnet_exp.slurm_job"].SlurmJob = SlurmJob
from submitit.core.utils import DelayedSubmission
DelayedSubmission(SlurmJob(sys.argv[1])).dump(sys.argv[2])
"""


def run_job(submitit_folder: Path, job: str) -> subprocess.CompletedProcess[str]:
    """Run a pickled job as submitit's batch script does."""
    environ = {**os.environ, "SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_JOB_ID": job}
    command = [sys.executable, "-m", "submitit.core._submit", str(submitit_folder)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300)


def test_jobs_of_this_version_can_be_loaded_by_later_ones() -> None:
    assert pickle.loads(base64.b64decode(QUEUED_BYTES)) == QUEUED


def test_a_job_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    run, job = RunFolder(tmp_path / "runs" / "mine"), "7"
    run.path.mkdir(parents=True)
    run.config.write_text("recipe: mild\n")
    path = JobPaths(tmp_path, job).submitted_pickle
    subprocess.run([sys.executable, "-c", EARLIER, str(run.path), str(path)], check=True)
    done = run_job(tmp_path, job)
    line = f"{run.path} was submitted by an earlier version; submit its sweep again"
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].endswith(f"RequestError: {line}")
    assert (read_json(run.failure) or {})["error"] == line
    (state,) = collect_states(run.path.parent)
    assert (state.kind, state.why) == ("failed", line)


def test_a_run_folder_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    config = make_config("recipe=mild", "hardware=cpu", f"runs_dir={tmp_path}")
    config.folder.path.mkdir()
    write_config(config.folder, config)
    assert read_config(config.folder) == config
    values = yaml.safe_load(config.folder.config.read_text())
    values["algorithms"]["ema"]["_target_"] = "resnet_exp.algorithms.EMA"
    config.folder.config.write_text(yaml.safe_dump(values))
    with pytest.raises(RequestError) as refused:
        read_config(config.folder)
    line = (
        f"{config.folder.path} was written by an earlier version (algorithms.ema._target_=resnet_exp.algorithms.EMA "
        "no longer exists); rerun its command to start it over"
    )
    assert str(refused.value) == line
    DelayedSubmission(SlurmJob(str(config.folder.path), 0, None)).dump(JobPaths(tmp_path, "8").submitted_pickle)
    assert run_job(tmp_path, "8").returncode == 1
    assert (read_json(config.folder.failure) or {})["error"] == line
