"""What the launcher of a run does with its mirror."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from resnet_exp.core.errors import EXIT_DONE, RunStopped
from resnet_exp.core.object_store import Remote
from resnet_exp.launch import mirroring
from resnet_exp.launch.run import launch_run
from support.configs import make_config
from support.run_folders import result_of

MIRROR = "mirror=s3://shards/runs"


@pytest.fixture(autouse=True)
def _job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")


def test_a_job_that_starts_again_does_not_wait_for_a_store_that_hangs(
    tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its time is short: without another start it would end at its limit."""
    config, answers = make_config(MIRROR, f"runs_dir={tmp_path}"), threading.Event()
    config.folder.path.mkdir()
    monkeypatch.setattr(mirroring, "JOB_SECONDS", 0.2)

    def stop() -> None:
        with mirroring.mirrored(config.folder, config):
            monkeypatch.setattr(Remote, "sizes", hang)
            raise RunStopped("stopped")

    def hang(*_: object) -> dict[str, int]:
        answers.wait(60)
        return {}

    with pytest.raises(RunStopped):
        stop()
    answers.set()
    assert "is not complete in mirror=s3://shards/runs (no end after 0.2 s)" in capsys.readouterr().out


def test_other_nodes_wait_until_the_run_was_brought(
    tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run may be done there: ranks of the other nodes would wait for those of the first."""
    nodes = {"STEP_NUM_TASKS": "2", "NODEID": "1", "JOB_NODELIST": "n[1-2]", "JOB_NUM_NODES": "2"}
    for name, value in nodes.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    here, there = (make_config(MIRROR, "hardware.nodes=2", f"runs_dir={tmp_path / name}") for name in ("here", "there"))
    for config in (here, there):
        config.folder.path.mkdir(parents=True)
    there.folder.config.write_text("ssr: 1\n")
    there.folder.result.write_text(json.dumps(result_of(there.folder.path.name)))
    with mirroring.mirrored(there.folder, there):
        pass
    here.folder.config.write_text("ssr: 1\n")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert not mirroring.is_brought(there.folder), "that was another start of the job"
    ended: list[int] = []
    other = threading.Thread(target=lambda: ended.append(launch_run(here)), daemon=True)
    other.start()
    with mirroring.mirrored(here.folder, here):
        other.join(300)
    assert ended == [EXIT_DONE] and not list(here.folder.path.glob("rank*.log"))
