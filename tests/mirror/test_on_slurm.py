"""Mirrored runs on a cluster: of two nodes, requeued, elsewhere. Each folder of runs is a cluster of its own."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resnet_exp.core.files import read_json
from resnet_exp.runs.folder import RunFolder
from support.object_store import minutes_pass, store_at
from support.photos import write_photos
from support.same_run import assert_same, only_run
from support.slurm_cluster import SlurmCluster
from support.slurm_play import SMALL
from support.slurm_scenario import Scenario
from support.warm import WarmPython

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

MIRROR = "mirror=s3://shards/runs"


class Clusters:
    """Clusters that share an object store, and no folder of runs."""

    def __init__(self, slurm: SlurmCluster, folder: Path, python: WarmPython, store: Any) -> None:
        self.slurm, self.folder, self.python, self.store = slurm, folder, python, store
        self.photos = write_photos(folder / "photos")
        self.gate = folder / "gate"

    def scenario(self, name: str) -> Scenario:
        """A cluster, which has no runs yet."""
        (self.folder / name).mkdir()
        return Scenario(self.slurm, self.folder / name, self.photos, self.python)

    def submit(self, s: Scenario, *words: str) -> None:
        """Submit runs that wait at the gate."""
        gate = f"+callbacks.misbehave.gate={self.gate}"
        s.accept(*words, gate, "trace=true", "loggers=[csv]", "sweep=mirrored", SMALL)

    def wait_mirrored(self, s: Scenario) -> str:
        """Wait until the first checkpoint of the run of seed 41 is in the mirror; returns its job."""
        s.wait_checkpoint("mirrored", "41", 4)
        s.wait("the checkpoint in the mirror", lambda: "-ba4-" in self.claim())
        return s.states("mirrored")["41"]["job"]

    def claim(self) -> str:
        """What the newest claim says of the files of the run: all of them are there."""
        name = max(name for name in self.stored() if "/claim-" in name)
        return str(self.store.get_object(Bucket="shards", Key=name)["Body"].read())

    def stored(self) -> list[str]:
        """Names of all objects."""
        return [entry["Key"] for entry in self.store.list_objects_v2(Bucket="shards").get("Contents", [])]


@pytest.fixture
def clusters(
    slurm: SlurmCluster, warm_python: WarmPython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Clusters]:
    with store_at(slurm.address, monkeypatch) as store:
        yield Clusters(slurm, tmp_path, warm_python, store)


def test_a_run_of_two_nodes_goes_on_on_another_cluster_to_the_last_bit(clusters: Clusters) -> None:
    whole, first, other, late = map(clusters.scenario, ("whole", "first", "other", "late"))
    clusters.submit(first, "seed=41", "hardware.nodes=2", MIRROR)
    job = clusters.wait_mirrored(first)
    for process in first.slurm.processes(job):
        os.kill(process, signal.SIGKILL)
    assert first.wait_over("mirrored")["41"]["kind"] == "failed"
    clusters.gate.touch()
    minutes_pass("runs/", 50)
    clusters.submit(whole, "seed=41", "hardware.nodes=2")
    clusters.submit(other, "seed=41", "hardware.nodes=2", MIRROR)
    for s in (whole, other):
        assert s.wait_over("mirrored")["41"]["kind"] == "done", s.log("mirrored", "41").read_text()
    assert "brought from s3://shards/runs/" in other.log("mirrored", "41").read_text()
    assert_same(only_run(whole.runs), only_run(other.runs))
    result = read_json(only_run(other.runs).result)
    assert result is not None and result["resumed"] == 1
    # One node writes to the mirror: each start of the run has one claim, and the earlier one was removed.
    assert [name.rpartition("/")[2] for name in clusters.stored() if "/claim-" in name] == ["claim-000002.json"]

    # A sweep, of which one run is done elsewhere: no node of it may start ranks.
    clusters.submit(late, "seed=41,42", "hardware.nodes=2", MIRROR)
    states = late.wait_over("mirrored")
    assert [states[seed]["kind"] for seed in ("41", "42")] == ["done", "done"], states
    assert "already done" in late.log("mirrored", "41").read_text()
    job = states["41"]["job"]
    assert late.slurm.wait_state(job, "COMPLETED", "FAILED", "TIMEOUT", timeout=300) == "COMPLETED"
    assert_same(RunFolder(late.folder_of("mirrored", "41")), only_run(whole.runs))


def test_a_job_is_requeued_where_its_run_is_gone(clusters: Clusters) -> None:
    whole, s = clusters.scenario("whole"), clusters.scenario("first")
    clusters.submit(s, "seed=41", MIRROR, "hydra.launcher.nodelist=n2")
    job = clusters.wait_mirrored(s)
    try:
        s.slurm.fail_node("n2")
        run = only_run(s.runs)
        for path in run.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != run.config:
                path.unlink()
        minutes_pass("runs/", 50)
        s.slurm.run("scontrol", "update", f"JobId={job}", "ReqNodeList=n1")
        clusters.gate.touch()
        clusters.submit(whole, "seed=41", "hydra.launcher.nodelist=n1")
        for each in (s, whole):
            each.wait_over("mirrored")
    finally:
        s.slurm.restore_node("n2")
    log = s.log("mirrored", "41").read_text()
    assert s.states("mirrored")["41"]["kind"] == "done", log
    assert "brought from s3://shards/runs/" in log and "resuming   from ep1-ba4-rank0.pt" in log, log
    assert_same(only_run(whole.runs), only_run(s.runs))
