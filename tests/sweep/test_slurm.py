"""Sweeps on a real SLURM: what a cluster does to runs, and what becomes of them.

All cases share one afternoon, `play`, for each run costs the imports of torch and composer.
"""

from __future__ import annotations

import json
import re
import signal
import sys

import pytest

from support.photos import write_photos
from support.slurm_cluster import SlurmCluster
from support.slurm_play import play
from support.slurm_scenario import Scenario
from support.warm import WarmPython

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]

FINE = ("fine", "again", "more")
RAISED = r"ValueError: raised as told \(.*misbehave\.py, line \d+\)"


MOVED = [("preempted", "31", 1), ("requeued", "32", 2), ("lost", "41", 1), ("dual", "41", 1)]


@pytest.fixture(scope="module")
def played(slurm: SlurmCluster, warm_python: WarmPython, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    folder = tmp_path_factory.mktemp("slurm")
    scenario = Scenario(slurm, folder, write_photos(folder / "photos"), warm_python)
    play(scenario)
    return scenario


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
    return s.log(sweep, name).read_text()


def test_jobs_of_a_killed_submission_are_found(played: Scenario) -> None:
    assert played.seen["cut off"].returncode == -signal.SIGKILL
    states = played.seen["after the cut"]
    assert [state["kind"] for state in states] == ["queued"] * 6
    assert len({state["job"] for state in states}) == 6
    assert played.seen["interrupted"].startswith("note: a submission that was cut off has 6 runs in the queue\n")


def test_ctrl_c_leaves_the_jobs_running_and_says_so(played: Scenario) -> None:
    assert "left; the jobs keep running" in played.seen["interrupted"]
    assert "scancel --name=six" in played.seen["interrupted"]
    assert played.seen["after ctrl-c"] == ["from the site"] * 6


def test_a_second_submission_leaves_alone_what_is_there(played: Scenario) -> None:
    for line in [*played.seen["second"], *played.seen["third"]]:
        assert line.startswith("note: left alone")
    jobs = played.slurm.run("sacct", "-X", "-n", "-P", "-o", "JobID", "--name=six").split()
    assert len({job.partition("_")[0] for job in jobs}) == 1
    assert len(jobs) == 6


def test_every_job_is_reported_and_the_sweep_has_failed(played: Scenario) -> None:
    assert played.seen["six code"] == 1
    states = played.states("six")
    assert {name for name, state in states.items() if state["kind"] == "done"} == set(FINE)
    assert {name for name, state in states.items() if state["kind"] == "failed"} == {"raise", "kill", "memory"}
    assert "6 runs: 3 done, 3 failed" in played.seen["six"]
    for state in states.values():
        assert state["run_id"] in played.seen["six"]


def test_failures_are_failures_for_slurm_and_have_a_reason(played: Scenario) -> None:
    raised = failure_of(played, "six", "raise")
    assert re.fullmatch(RAISED, str(raised["error"]))
    assert "misbehave.py" in str(raised["traceback"])
    assert "raised as told" in job_log(played, "six", "raise")
    for name in ("kill", "memory"):
        assert failure_of(played, "six", name)["type"] == "SIGKILL"
    states = played.states("six")
    for name in ("raise", "kill", "memory"):
        assert played.slurm.state(states[name]["job"]) in ("FAILED", "OUT_OF_MEMORY")
    for name in FINE:
        assert played.slurm.state(states[name]["job"]) == "COMPLETED"


def test_an_edit_while_queued_changes_nothing(played: Scenario) -> None:
    for name in FINE:
        folder = played.folder_of("six", name)
        assert "smoothing: 0.05\n" in (folder / "config.yaml").read_text()
        facts = json.loads((folder / "environment.json").read_text())
        assert set(facts["submitted"]) >= {"time", "command", "host", "git"}
        assert facts["slurm"]["SLURM_JOB_ID"]


def test_a_run_over_its_time_goes_on_in_the_next_job(played: Scenario) -> None:
    assert played.seen["limit9"]["22"]["kind"] == "done", played.seen["limit9"]
    assert result_of(played, "limit9", "22")["resumed"] >= 1  # type: ignore[operator]
    assert trained_batches(played, "limit9", "22") == list(range(8))
    job, log = played.states("limit9")["22"]["job"], job_log(played, "limit9", "22")
    assert f"no scontrol in this container: the batch script of job {job} requeues it\n" in log
    assert f"job {job} requeued\n" in log


def test_requeues_are_bounded(played: Scenario) -> None:
    state = played.seen["limit0"]["21"]
    assert state["kind"] == "failed"
    assert "hydra.launcher.max_requeues=0" in state["why"]
    assert played.slurm.state(state["job"]) == "FAILED"
    trained = len(trained_batches(played, "limit0", "21"))
    saved = (played.folder_of("limit0", "21") / "checkpoints" / "latest-rank0.pt").exists()
    assert saved == (trained > 0)


@pytest.mark.parametrize(("sweep", "seed", "times"), MOVED)
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
    assert re.fullmatch(RAISED, str(failure["error"])) and failure["rank"] == 1
    job = played.states("pair")["raise"]["job"]
    assert played.slurm.state(job) == "FAILED"


def test_a_rank_that_is_killed_on_the_second_node_is_no_lost_node(played: Scenario) -> None:
    failure = failure_of(played, "pair", "kill")
    assert (failure["type"], failure["rank"]) == ("SIGKILL", 1)
    job = played.states("pair")["kill"]["job"]
    assert played.slurm.state(job) == "FAILED"
    assert "requeued" not in job_log(played, "pair", "kill")


def test_a_run_that_lost_one_of_two_nodes_requeues_itself(played: Scenario) -> None:
    log = job_log(played, "dual", "41")
    assert "a node of this job was lost: no rank has reported why it ended\n" in log
    assert log.count("requeued\n") == 1


def test_a_requeue_waits_for_the_controller(played: Scenario) -> None:
    assert played.seen["without controller"]
    job = played.states("requeued")["32"]["job"]
    assert f"job {job} requeued\n" in job_log(played, "requeued", "32")


def test_a_search_runs_as_jobs_and_goes_on(played: Scenario) -> None:
    first, second = played.seen["search"]
    assert "left; the jobs keep running" in first
    assert second.startswith("trial 2 of 2: ")
    assert "note: left alone: " in second
    assert "sweep adaptive: 2 trials; no run is both better and faster" in second
    record = json.loads((played.runs / ".sweeps" / "adaptive.json").read_text())
    jobs = [run["job"] for run in record["runs"]]
    assert len(set(jobs)) == 2
    assert {played.slurm.state(job) for job in jobs} == {"COMPLETED"}
    assert len(played.slurm.run("sacct", "-X", "-n", "-P", "-o", "JobID", "--name=adaptive").split()) == 2


def test_a_canceled_run_is_stopped_and_goes_on(played: Scenario) -> None:
    state = played.seen["canceled"]["51"]
    assert (state["kind"], played.slurm.state(state["job"])) == ("stopped", "CANCELLED")
    assert (played.folder_of("canceled", "51") / "checkpoints" / "latest-rank0.pt").exists()


def test_nothing_is_left_running(played: Scenario) -> None:
    assert played.slurm.processes() == []
