"""Sweeps on a real SLURM: what is refused, and what is submitted of those that are not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.photos import write_photos
from support.slurm_cluster import SlurmCluster
from support.slurm_play import HOLD
from support.slurm_scenario import Scenario
from support.warm import WarmPython


@pytest.fixture
def scenario(slurm: SlurmCluster, tmp_path: Path, warm_python: WarmPython) -> Scenario:
    return Scenario(slurm, tmp_path, write_photos(tmp_path / "photos"), warm_python)


def test_mixed_hardware_is_refused_before_anything_is_submitted(scenario: Scenario, tmp_path: Path) -> None:
    done = scenario.submit("hardware=a100x1,h100x1", "sweep=mixed")
    assert done.returncode == 2
    assert "one array has one kind of node" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_sbatch_refuses_in_one_line(scenario: Scenario, tmp_path: Path) -> None:
    done = scenario.submit("hydra.launcher.partition=nowhere", "sweep=refused")
    assert done.returncode == 2
    assert "sbatch refuses the sweep (invalid partition specified: nowhere); change hydra.launcher" in done.stderr
    assert not (tmp_path / "runs").exists()
    assert len(done.stderr.strip().splitlines()) == 1
    assert not scenario.slurm.run("sacct", "-X", "-n", "-P", "-o", "JobID", "--name=refused")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("max_requeues=abc", "hydra.launcher.max_requeues=abc: use a whole number"),
        ("max_requeues=-1", "hydra.launcher.max_requeues=-1 must be 0 or more"),
        ("array_parallelism=0", "hydra.launcher.array_parallelism=0 must be 1 or more"),
        ("wait=maybe", "hydra.launcher.wait=maybe: use true or false"),
        ("setup=abc", "hydra.launcher.setup=abc: use a list such as [1,2]"),
        ("container=image.sif", "hydra.launcher.container=image.sif: use a list such as [1,2]"),
    ],
)
def test_settings_of_no_use_are_refused(scenario: Scenario, tmp_path: Path, setting: str, says: str) -> None:
    done = scenario.execute(scenario.line(f"hydra.launcher.{setting}", "sweep=useless"), 200)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith(says)
    assert not (tmp_path / "runs").exists()


def test_unknown_hardware_is_refused(scenario: Scenario, tmp_path: Path) -> None:
    done = scenario.submit("hardware=auto", "sweep=unknown")
    assert done.returncode == 2
    assert "hardware=auto is not known before the job runs" in done.stderr


def test_a_submission_without_slurm_says_so(tmp_path: Path) -> None:
    line = ["-m", "resnet_exp", "-m", "hydra/launcher=slurm", "hardware=cpu", f"runs_dir={tmp_path / 'runs'}"]
    done = subprocess.run(
        [sys.executable, *line],
        env={**os.environ, "PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert "use a login node of the cluster" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_sweep_above_the_largest_array_is_submitted_in_parts(scenario: Scenario, tmp_path: Path) -> None:
    held = ("seed=range(5)", HOLD, "sweep=parts")
    slurm = scenario.slurm
    with slurm.setting("MaxArraySize", "3"):
        done = scenario.submit(*held)
        try:
            assert done.returncode == 0, done.stderr
            tasks = slurm.run("squeue", "-h", "-r", "-n", "parts", "-o", "%F %i").splitlines()
            parts = {
                array: [line for line in tasks if line.startswith(array)]
                for array in {line.split()[0] for line in tasks}
            }
            assert sorted(map(len, parts.values())) == [2, 3]
            assert f"submitted 5 runs as job {', '.join(sorted(parts))} in " in done.stdout
            states = scenario.states("parts")
            assert {state["job"] for state in states.values()} == {line.split()[1] for line in tasks}
            assert {state["why"] for state in states.values()} == {"pending (jobhelduser)"}
            again = scenario.submit(*held)
            assert again.returncode == 0 and again.stdout.count("note: left alone: ") == 5
        finally:
            slurm.run("scancel", "--name=parts")


def diagnosis(scenario: Scenario, *args: str, **environ: str) -> tuple[int, list[str]]:
    """The exit code of the doctor on this line, and what it says of SLURM."""
    line = ["resnet_exp.doctor" if word == "resnet_exp" else word for word in scenario.line(*args)]
    done = scenario.execute(line, 200, **environ)
    assert done.stderr == ""
    return done.returncode, re.findall(r"^\S+ +SLURM +(.*)$", done.stdout, re.MULTILINE)


def test_the_doctor_asks_sbatch_and_submits_nothing(scenario: Scenario, tmp_path: Path) -> None:
    code, said = diagnosis(scenario, "sweep=examined")
    assert code == 0
    assert said[0].startswith("main* up, 2 nodes with gpu:8, limit infinite; urgent up")
    assert re.match(r"Job \d+ to start at .* using 30 processors on nodes n\d in partition main", said[1])
    assert said[2] == "jobs that are preempted are requeued, at most 50 times"
    code, said = diagnosis(scenario, "hydra.launcher.partition=nowhere")
    assert (code, said[1:]) == (1, ["sbatch would refuse the sweep (invalid partition specified: nowhere)"])
    code, said = diagnosis(scenario, "hydra.launcher.cpus_per_task=3000")
    refused = "sbatch would refuse the sweep (allocation failure: Requested node configuration is not available)"
    assert (code, said[1:]) == (1, [refused])
    assert not scenario.slurm.run("squeue", "--noheader", "--name=examined") and not (tmp_path / "runs").exists()


def test_the_doctor_compares_the_limits(scenario: Scenario) -> None:
    scenario.slurm.run("scontrol", "update", "PartitionName=urgent", "MaxTime=30", "PreemptMode=CANCEL")
    try:
        urgent = "hydra.launcher.partition=urgent"
        code, said = diagnosis(scenario, urgent)
        assert code == 1 and said[-1] == "hydra.launcher.timeout_min=1440 exceeds the limit of partition urgent, 30:00"
        code, said = diagnosis(scenario, urgent, "hydra.launcher.timeout_min=30")
        assert code == 0 and said[-1] == "partition urgent cancels what it preempts (PreemptMode=CANCEL)"
    finally:
        scenario.slurm.run("scontrol", "update", "PartitionName=urgent", "MaxTime=UNLIMITED", "PreemptMode=OFF")


def test_the_doctor_without_a_controller(scenario: Scenario, tmp_path: Path) -> None:
    # A configuration of a controller that is not there.
    conf = scenario.slurm.conf.read_text()
    nowhere = tmp_path / "slurm.conf"
    nowhere.write_text(re.sub(r"^SlurmctldPort=.*$", "SlurmctldPort=9", conf, flags=re.MULTILINE))
    code, said = diagnosis(scenario, SLURM_CONF=str(nowhere))
    assert code == 1 and said == ["sinfo fails, or does not answer within 20 s"]


NO_CPUS = "note: hardware=cpu asks for no CPUs, and SLURM then gives one; set hydra.launcher.cpus_per_task"
OWN_CPUS = "+hydra.launcher.additional_parameters.cpus-per-gpu=3"


@pytest.mark.parametrize(
    ("words", "cpus"),
    [
        (("hardware=h100x1",), "8"),
        (("hardware=a100x8",), "64"),
        (("hardware=a100x8", "hardware.devices=2"), "16"),
        (("hardware=lambda_1xgh200", "hydra.launcher.mem_gb=6"), "64"),
        (("hardware=h100x1", "hydra.launcher.cpus_per_task=5"), "5"),
        (("hardware=a100x8", OWN_CPUS), "1"),  # SLURM counts those of each GPU later
        (("hardware=cpu",), "1"),
    ],
)
def test_jobs_ask_for_the_cpus_that_loading_needs(scenario: Scenario, words: tuple[str, ...], cpus: str) -> None:
    """SLURM gave one CPU to eight GPUs."""
    done = scenario.submit("hydra.launcher.cpus_per_task=null", HOLD, "sweep=cores", *words)
    try:
        assert done.returncode == 0, done.stderr
        assert scenario.slurm.run("squeue", "-h", "-r", "-n", "cores", "-o", "%C") == cpus
        assert (NO_CPUS in done.stdout) == (words == ("hardware=cpu",))
    finally:
        scenario.slurm.run("scancel", "--name=cores")


@pytest.mark.parametrize("image", ["--container-image=x.sqsh", "--export=ALL"])
def test_jobs_under_pyxis_replace_the_container_of_a_lost_start(scenario: Scenario, image: str) -> None:
    done = scenario.submit(f'hydra.launcher.srun_args=["{image}"]', HOLD, "sweep=contained")
    try:
        assert done.returncode == 0, done.stderr
        job = scenario.slurm.run("squeue", "-h", "-n", "contained", "-o", "%A")
        script = scenario.slurm.run("scontrol", "write", "batch_script", job, "-")
        assert ("\nexport ENROOT_FORCE_OVERRIDE=yes\n" in script) == ("container" in image)
    finally:
        scenario.slurm.run("scancel", "--name=contained")
