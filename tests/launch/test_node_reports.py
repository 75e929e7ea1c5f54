"""What the launcher of one of several nodes says of its ranks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resnet_exp.core.files import read_json
from resnet_exp.launch.ranks import RENDEZVOUS, run_ranks
from resnet_exp.launch.rendezvous import Rendezvous
from resnet_exp.runs.failure import read_failure, silent_nodes
from resnet_exp.runs.folder import RunFolder

# A rank that does not end when it is asked to, as one that waits for a peer.
STUBBORN = """
import os, pathlib, signal, time
if "RANK" in os.environ:
    launcher = os.getppid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pathlib.Path(__file__).with_name("began").touch()
    while os.getppid() == launcher:
        time.sleep(0.05)
    os._exit(0)
"""


@pytest.fixture(autouse=True)
def _job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")


def test_a_node_reports_how_its_ranks_ended(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert silent_nodes(run, 2) == [0, 1]
    # There is no config.yaml: each rank refuses.
    assert run_ranks(run, 1, Rendezvous(2, 1, "127.0.0.1", 29400), None) == 2
    report = read_json(run.node_report(1))
    assert report is not None and (report["attempt"], report["codes"]) == ("7.0", [2])
    assert silent_nodes(run, 2) == [0]
    failure = read_failure(run)
    assert failure is not None and (failure.rank, failure.ended, failure.attempt) == (1, "error", "7.0")


def test_a_node_reports_before_srun_can_kill_it(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (tmp_path / "sitecustomize.py").write_text(STUBBORN)
    program = (
        "from pathlib import Path; from resnet_exp.launch.ranks import run_ranks; "
        "from resnet_exp.launch.rendezvous import Rendezvous; from resnet_exp.runs.folder import RunFolder; "
        f"run_ranks(RunFolder(Path({str(tmp_path)!r})), 1, Rendezvous(2, 1, '127.0.0.1', 29400), None)"
    )
    # Tests in this process may have made it a rank, which the launcher is not.
    environ = {name: value for name, value in os.environ.items() if name not in RENDEZVOUS}
    environ["PYTHONPATH"] = str(tmp_path)
    with subprocess.Popen([sys.executable, "-c", program], env=environ) as launcher:
        deadline = time.monotonic() + 200
        while not (tmp_path / "began").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        launcher.send_signal(signal.SIGTERM)
        while silent_nodes(run, 2) == [0, 1] and time.monotonic() < deadline:
            time.sleep(0.05)
        launcher.kill()
    report = read_json(run.node_report(1))
    assert report is not None and (report["attempt"], report["codes"]) == ("7.0", [None])
