"""Sweeps on a real SLURM: what a cluster does to runs, and what becomes of them.

All cases share one afternoon, `play`, for each run costs the imports of torch and composer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_photos
from slurm_cluster import SlurmCluster
from slurm_scenario import Scenario, interrupt

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

EIGHT = ("+callbacks.misbehave.how=fine,again,raise,kill,memory,more,last,late", "sweep=eight")
FINE = ("fine", "again", "more", "last", "late")
# SLURM looks every 30 s: a signal 60 s before the end of two minutes comes after 30 to 60 s, before 8 batches are over.
SHORT = ("hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=60", "+callbacks.misbehave.seconds=8")
SLOWLY = ("+callbacks.misbehave.seconds=4", "trace=true")


@pytest.fixture(scope="module")
def played(slurm: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    folder = tmp_path_factory.mktemp("slurm")
    scenario = Scenario(slurm, folder, write_photos(folder / "photos"))
    play(scenario)
    return scenario


def play(s: Scenario) -> None:
    """Submit, disturb, wait: what the tests below look at."""
    eight = submit_eight(s)
    for seed, most in (("21", "0"), ("22", "9")):
        s.accept(f"seed={seed}", *SHORT, f"hydra.launcher.max_requeues={most}", f"sweep=limit{most}", "trace=true")
    s.wait("a run of eight to be done", lambda: any(x["kind"] == "done" for x in s.states("eight").values()))
    s.slurm.restart_controller()
    s.seen["eight"] = eight.communicate(timeout=300)[0]
    s.seen["eight code"] = eight.returncode
    s.accept("seed=31", *SLOWLY, "hydra.launcher.gpus_per_node=8", "sweep=preempted")
    own = ("loggers=[progress,wandb]", 'hydra.launcher.container=[env,"CONTAINED=yes"]')
    s.accept("seed=32", *SLOWLY, "sweep=requeued", *own, WANDB_MODE="offline")
    s.accept("seed=51", *SLOWLY, "sweep=cancelled")
    requeue(s, batches=1)
    preempt(s)
    cancel(s)
    requeue(s, batches=3)
    two_nodes(s)
    for sweep in ("limit0", "limit9", "preempted", "requeued", "pair", "cancelled"):
        s.seen[sweep] = s.wait_over(sweep, 400)
    lose_node(s)
    s.wait("the end of all processes", lambda: not s.slurm.processes(), 60)


def submit_eight(s: Scenario) -> subprocess.Popen[str]:
    """Submit eight jobs, leave with Ctrl-C, be killed while watching, and watch to the end."""
    own = s.folder / "own" / "recipe" / "mine.yaml"
    own.parent.mkdir(parents=True)
    text = "# @package _global_\ndefaults: [mild]\nalgorithms: {label_smoothing: {smoothing: 0.05}}\n"
    own.write_text(text)
    site = own.parents[1] / "local" / "slurm.yaml"
    site.parent.mkdir()
    site.write_text("comment: from the site\n")
    line = ("recipe=mine", "--config-dir", str(own.parents[1]), *EIGHT, "hydra.launcher.array_parallelism=2")
    s.seen["interrupted"] = interrupt(s.start(*line), until="shows it at any time")
    own.write_text(text.replace("0.05", "0.5"))
    s.seen["after ctrl-c"] = s.slurm.run("squeue", "-h", "-r", "-n", "eight", "-o", "%k").splitlines()
    own.write_text(text)
    killed = s.start(*line)
    assert killed.stdout is not None
    s.seen["second"] = [killed.stdout.readline() for _ in range(3)]
    killed.kill()
    killed.communicate()
    watching = s.start(*line)
    assert watching.stdout is not None
    s.seen["third"] = [watching.stdout.readline() for _ in range(3)]
    own.write_text(text.replace("0.05", "0.5"))
    return watching


def preempt(s: Scenario) -> None:
    s.wait_batches("preempted", "31", 1)
    all_gpus = ("-p", "urgent", "--nodes=2", "--gpus-per-node=8", "--mem=100")
    urgent = s.slurm.submit("sleep 1", *all_gpus)
    s.slurm.wait_state(urgent, "COMPLETED", timeout=60)


def requeue(s: Scenario, batches: int) -> None:
    s.wait_batches("requeued", "32", batches)
    s.slurm.run("scontrol", "requeue", s.states("requeued")["32"]["job"])


def two_nodes(s: Scenario) -> None:
    """Two runs over both nodes, for a user without a writable home; in one the second node's rank raises."""
    home = s.folder / "home"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", home], check=True)
    try:
        digits = ("dataset=digits", "data=ffcv", "train_batch_size=64", "eval_batch_size=64", "ssr=0.0112")
        pair = ("hardware.nodes=2", "+callbacks.misbehave.how=fine,raise", "+callbacks.misbehave.rank=1", "sweep=pair")
        line = [word for word in s.line(*digits, *pair, "hydra.launcher.wait=false") if "cache_dir" not in word]
        line = [word for word in line if not word.startswith("dataset.dir=")]
        environ = {"HOME": str(home), "XDG_CACHE_HOME": ""}
        done = s.execute(line, 60, **environ)
        assert done.returncode == 0, done.stderr
        s.wait_over("pair")
    finally:
        subprocess.run(["umount", home], check=True)


def lose_node(s: Scenario) -> None:
    s.accept("seed=41", *SLOWLY, "sweep=lost")
    s.wait_batches("lost", "41", 5)  # the first epoch's checkpoint is at 4
    node = s.slurm.run("squeue", "-h", "-n", "lost", "-o", "%N")
    s.slurm.fail_node(node)
    try:
        s.seen["lost"] = s.wait_over("lost")
    finally:
        s.slurm.restore_node(node)


def cancel(s: Scenario) -> None:
    s.wait_batches("cancelled", "51", 2)
    s.slurm.run("scancel", "--name=cancelled")


def failure_of(s: Scenario, sweep: str, name: str) -> dict[str, object]:
    return json.loads((s.folder_of(sweep, name) / "failure.json").read_text())


def result_of(s: Scenario, sweep: str, name: str) -> dict[str, object]:
    return json.loads((s.folder_of(sweep, name) / "result.json").read_text())


def trained_batches(s: Scenario, sweep: str, name: str) -> list[int]:
    trace = s.folder_of(sweep, name) / "trace.jsonl"
    if not trace.exists():
        return []
    return [json.loads(line)["batch"] for line in trace.read_text().splitlines()]


def job_log(s: Scenario, sweep: str, name: str) -> str:
    job = s.states(sweep)[name]["job"]
    return (s.runs / ".submitit" / f"{job}_0_log.out").read_text()


def test_ctrl_c_leaves_the_jobs_running_and_says_so(played: Scenario) -> None:
    assert "left; the jobs go on" in played.seen["interrupted"]
    assert "scancel --name=eight" in played.seen["interrupted"]
    assert played.seen["after ctrl-c"] == ["from the site"] * 8


def test_a_second_submission_leaves_alone_what_is_there(played: Scenario) -> None:
    for line in [*played.seen["second"], *played.seen["third"]]:
        assert line.startswith("note: left alone")
    jobs = played.slurm.run("sacct", "-X", "-n", "-P", "-o", "JobID", "--name=eight").split()
    assert len({job.partition("_")[0] for job in jobs}) == 1
    assert len(jobs) == 8


def test_every_job_is_reported_and_the_sweep_has_failed(played: Scenario) -> None:
    assert played.seen["eight code"] == 1
    states = played.states("eight")
    assert {name for name, state in states.items() if state["kind"] == "done"} == set(FINE)
    assert {name for name, state in states.items() if state["kind"] == "failed"} == {"raise", "kill", "memory"}
    assert "8 runs: 5 done, 3 failed" in played.seen["eight"]
    for state in states.values():
        assert state["run_id"] in played.seen["eight"]


def test_failures_are_failures_for_slurm_and_have_a_reason(played: Scenario) -> None:
    raised = failure_of(played, "eight", "raise")
    assert raised["error"] == "ValueError: raised as told"
    assert "misbehave.py" in str(raised["traceback"])
    assert "raised as told" in job_log(played, "eight", "raise")
    for name in ("kill", "memory"):
        assert failure_of(played, "eight", name)["type"] == "SIGKILL"
    states = played.states("eight")
    for name in ("raise", "kill", "memory"):
        assert played.slurm.state(states[name]["job"]) in ("FAILED", "OUT_OF_MEMORY")
    for name in FINE:
        assert played.slurm.state(states[name]["job"]) == "COMPLETED"


def test_an_edit_while_queued_changes_nothing(played: Scenario) -> None:
    for name in FINE:
        folder = played.folder_of("eight", name)
        assert "smoothing: 0.05\n" in (folder / "config.yaml").read_text()
        facts = json.loads((folder / "environment.json").read_text())
        assert set(facts["submitted"]) >= {"time", "command", "host", "git"}
        assert facts["slurm"]["SLURM_JOB_ID"]


def test_a_run_over_its_time_goes_on_in_the_next_job(played: Scenario) -> None:
    assert played.seen["limit9"]["22"]["kind"] == "done", played.seen["limit9"]
    assert result_of(played, "limit9", "22")["resumed"] >= 1  # type: ignore[operator]
    assert trained_batches(played, "limit9", "22") == list(range(8))
    assert "requeued" in job_log(played, "limit9", "22")


def test_requeues_are_bounded(played: Scenario) -> None:
    state = played.seen["limit0"]["21"]
    assert state["kind"] == "failed"
    assert "hydra.launcher.max_requeues=0" in state["why"]
    assert played.slurm.state(state["job"]) == "FAILED"
    trained = len(trained_batches(played, "limit0", "21"))
    saved = (played.folder_of("limit0", "21") / "checkpoints" / "latest-rank0.pt").exists()
    assert saved == (trained > 0)


@pytest.mark.parametrize(("sweep", "seed", "times"), [("preempted", "31", 1), ("requeued", "32", 2), ("lost", "41", 1)])
def test_a_moved_run_loses_and_repeats_no_batch(played: Scenario, sweep: str, seed: str, times: int) -> None:
    assert played.seen[sweep][seed]["kind"] == "done", played.seen[sweep]
    assert trained_batches(played, sweep, seed) == list(range(8))
    assert result_of(played, sweep, seed)["resumed"] == times


def test_a_requeued_run_is_one_wandb_run(played: Scenario) -> None:
    folder = played.folder_of("requeued", "32")
    ids = [path.name.split("-", 3)[3] for path in (folder / "wandb").glob("offline-run-*")]
    assert ids == [folder.name] * 3


def test_the_words_of_a_container_come_before_python(played: Scenario) -> None:
    job = played.states("requeued")["32"]["job"]
    script = (played.runs / ".submitit" / f"{job}_submission.sh").read_text()
    assert f" env CONTAINED=yes {sys.executable} " in script


def test_two_nodes_are_one_run(played: Scenario) -> None:
    result = result_of(played, "pair", "fine")
    assert (result["hardware"]["nodes"], result["val_images"]) == (2, 360)  # type: ignore[index]
    assert result["batches"] == 1437 // 64
    cache = played.runs / ".cache"
    assert cache.is_dir()


def test_a_rank_that_fails_on_the_second_node_ends_the_first(played: Scenario) -> None:
    failure = failure_of(played, "pair", "raise")
    assert (failure["error"], failure["rank"]) == ("ValueError: raised as told", 1)
    job = played.states("pair")["raise"]["job"]
    assert played.slurm.state(job) == "FAILED"


def test_a_cancelled_run_is_stopped_and_goes_on(played: Scenario) -> None:
    state = played.seen["cancelled"]["51"]
    assert (state["kind"], played.slurm.state(state["job"])) == ("stopped", "CANCELLED")
    assert (played.folder_of("cancelled", "51") / "checkpoints" / "latest-rank0.pt").exists()


def test_nothing_is_left_running(played: Scenario) -> None:
    assert played.slurm.processes() == []


def test_mixed_hardware_is_refused_before_anything_is_submitted(slurm: SlurmCluster, tmp_path: Path) -> None:
    scenario = Scenario(slurm, tmp_path, write_photos(tmp_path / "photos"))
    done = scenario.submit("hardware=a100x1,h100x1", "sweep=mixed")
    assert done.returncode == 2
    assert "one array has one kind of node" in done.stderr
    assert not list((tmp_path / "runs").glob("mild*"))


def test_sbatch_refuses_in_one_line(slurm: SlurmCluster, tmp_path: Path) -> None:
    scenario = Scenario(slurm, tmp_path, write_photos(tmp_path / "photos"))
    done = scenario.submit("hydra.launcher.partition=nowhere", "sweep=refused")
    assert done.returncode == 2
    assert "sbatch refuses the sweep (invalid partition specified: nowhere); change hydra.launcher" in done.stderr
    assert not list((tmp_path / "runs").glob("mild*"))
    assert not list((tmp_path / "runs" / ".sweeps").glob("*.json"))
    assert len(done.stderr.strip().splitlines()) == 1
    assert not slurm.run("sacct", "-X", "-n", "-P", "-o", "JobID", "--name=refused")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("max_requeues=abc", "hydra.launcher.max_requeues=abc: use a whole number"),
        ("max_requeues=-1", "hydra.launcher.max_requeues=-1 must be 0 or more"),
        ("array_parallelism=0", "hydra.launcher.array_parallelism=0 must be 1 or more"),
        ("wait=maybe", "hydra.launcher.wait=maybe: use true or false"),
        ("setup=abc", "hydra.launcher.setup=abc"),
    ],
)
def test_settings_of_no_use_are_refused(slurm: SlurmCluster, tmp_path: Path, setting: str, says: str) -> None:
    scenario = Scenario(slurm, tmp_path, write_photos(tmp_path / "photos"))
    done = scenario.execute(scenario.line(f"hydra.launcher.{setting}", "sweep=useless"), 60)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith(says)
    assert not list((tmp_path / "runs").glob("mild*"))


def test_unknown_hardware_is_refused(slurm: SlurmCluster, tmp_path: Path) -> None:
    scenario = Scenario(slurm, tmp_path, write_photos(tmp_path / "photos"))
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
        timeout=60,
    )
    assert done.returncode == 2
    assert "use a login node of the cluster" in done.stderr
