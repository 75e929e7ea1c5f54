"""Sweeps that are submitted from another machine: a real sshd, and a real SLURM behind it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_exp.core.version import __version__
from resnet_exp.runs import sweep_manifest
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import read_result
from resnet_exp.runs.sweep_manifest import SweepManifest, SweepRun
from resnet_exp.sweep.planned import PlannedRun
from resnet_exp.sweep.remote import laptop as laptop_side
from resnet_exp.sweep.remote.host import connected
from support.commands import TINY, Finished
from support.configs import make_config
from support.run_folders import write_run
from support.slurm_cluster import SlurmCluster
from support.slurm_play import HOLD
from support.ssh_host import SshHost
from support.warm import WarmPython

SWEEP = ("-m", "recipe=mild", "data=imagefolder", "hydra/launcher=slurm", "sweep=far", "loggers=[csv]", *TINY)
SHORT = (
    *("train_batch_size=256", "eval_batch_size=256", "ssr=0.0112"),
    *("hydra.launcher.timeout_min=10", "hydra.launcher.cpus_per_task=1"),
)
LOGIN = ("hydra.launcher.host=login", f"hydra.launcher.remote_python={sys.executable}")


class Laptop:
    """A machine with runs of its own, and a way to the login node."""

    def __init__(self, folder: Path, host: SshHost, there: Path, python: WarmPython) -> None:
        self.folder, self.host, self.there, self.python = folder, host, there, python
        folder.mkdir()

    def line(self, *words: str) -> list[str]:
        places = (f"runs_dir={self.folder / 'runs'}", f"hydra.launcher.remote_dir={self.there}")
        return [sys.executable, "-m", "resnet_exp", *places, *SWEEP, *LOGIN, *words]

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self.line(*words), cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, text=True)

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, **self.host.environ, "XDG_CACHE_HOME": str(self.folder / "cache")}

    def run(self, *words: str) -> Finished:
        return self.python.run(self.line(*words)[2:], self.folder, self.environ, timeout=400)

    def refusal(self, *words: str) -> str:
        done = self.run(*words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr + done.stdout
        assert not list(self.folder.glob("runs/*")), "nothing was written here"
        return done.stderr


@pytest.fixture
def laptop(tmp_path: Path, ssh_host: SshHost, warm_python: WarmPython) -> Laptop:
    return Laptop(tmp_path / "laptop", ssh_host, tmp_path / "cluster", warm_python)


def test_hosts_of_no_use_are_refused(laptop: Laptop, tmp_path: Path) -> None:
    assert "hydra.launcher.host=-oProxyCommand=x is not a host; use" in laptop.refusal(
        "hydra.launcher.host='-oProxyCommand=x'"
    )
    assert "needs hydra.launcher.remote_dir, a folder of runs there" in laptop.refusal("hydra.launcher.remote_dir=null")
    assert "hydra.launcher.remote_dir=runs must begin with / or ~/" in laptop.refusal("hydra.launcher.remote_dir=runs")
    down = laptop.refusal()
    assert down.startswith("hydra.launcher.host=login cannot be reached (") and "Connection refused" in down
    laptop.host.start()
    assert "hydra.launcher.remote_python=/nowhere is not on login; name the" in laptop.refusal(
        "hydra.launcher.remote_python=/nowhere"
    )
    assert "on login has no resnet_exp (" in laptop.refusal("hydra.launcher.remote_python=/bin/echo")
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho Welcome to the cluster\necho 'resnet_exp 0.0.7 (commit 0123)'\n")
    other.chmod(0o755)
    assert laptop.refusal(f"hydra.launcher.remote_python={other}") == (
        f"login has resnet_exp 0.0.7, this machine has {__version__}; install the same there\n"
    )
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"x")
    assert "is a file of this machine; with hydra.launcher.host" in laptop.refusal(f"init_from={weights}")
    assert not laptop.there.exists()


def test_programs_that_are_missing_are_named(laptop: Laptop, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for program in ("sh", "env"):
        (few / program).symlink_to(f"/usr/bin/{program}")
    for name, said in (("ssh", "needs ssh on this machine"), ("rsync", "needs rsync on this machine")):
        environ = {**os.environ, "PATH": str(few)}
        done = laptop.python.run(laptop.line()[2:], laptop.folder, environ)
        assert done.returncode == 2 and f"hydra.launcher.host=login {said}; install it" in done.stderr
        (few / name).symlink_to(f"{laptop.host.folder}/bin/{name}")
    laptop.host.start(PATH=str(few))
    assert laptop.refusal() == "hydra.launcher.host=login has no rsync; install it there\n"


@pytest.mark.soak  # sbatch looks for its controller for long
def test_a_host_that_cannot_submit_says_why(laptop: Laptop, tmp_path: Path) -> None:
    laptop.host.start(SLURM_CONF="/nowhere")
    line = laptop.refusal()
    assert line.startswith("login: ") and ("use a login node of the cluster" in line or "sbatch refuses" in line)
    assert not list(laptop.there.glob("*/config.yaml"))


def test_a_full_disk_there_is_a_line(laptop: Laptop) -> None:
    laptop.there.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(laptop.there)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be had")
    try:
        laptop.host.start()
        line = laptop.refusal("seed=1,2,3,4,5,6")
        assert line.startswith("login: runs_dir=") and "No space left on device" in line
    finally:
        subprocess.run(["umount", str(laptop.there)], check=True)


def home(slurm: SlurmCluster, folder: Path) -> dict[str, str]:
    """Variables of the login node."""
    return {"SLURM_CONF": str(slurm.conf), "XDG_CACHE_HOME": str(folder / "cache there")}


@pytest.mark.soak
def test_a_sweep_runs_there_and_its_results_come_here(
    laptop: Laptop, slurm: SlurmCluster, tmp_path: Path, warm_python: WarmPython
) -> None:
    laptop.host.start(**home(slurm, tmp_path))
    # Held until two machines have looked at them.
    seeds = ("seed=1,2", *SHORT, HOLD)
    # The laptop is closed as soon as the jobs are submitted.
    with laptop.start(*seeds) as closed:
        assert closed.stdout is not None
        assert any("login: submitted 2 runs as job" in line for line in closed.stdout)
        closed.kill()
    assert not list((laptop.folder / "runs").glob("*/result.json"))

    other = Laptop(tmp_path / "other", laptop.host, laptop.there, warm_python)
    with other.start(*seeds) as process:
        assert process.stdout is not None
        assert any("left alone" in line for line in process.stdout), "none is submitted twice"
        assert any("sweep far; " in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        assert "left; the jobs keep running on login" in process.stdout.read()
    assert process.returncode == 130

    slurm.run("scontrol", "release", slurm.run("squeue", "-h", "-n", "far", "-o", "%F"))
    done = other.run(*seeds)
    assert done.returncode == 0, done.stderr + done.stdout
    here = {path.parent.name: json.loads(path.read_text()) for path in (other.folder / "runs").glob("*/result.json")}
    there = {path.parent.name for path in laptop.there.glob("*/result.json")}
    assert len(here) == 2 and set(here) == there
    for run in here:
        assert sorted(os.listdir(other.folder / "runs" / run)) == sorted(
            name
            for name in os.listdir(laptop.there / run)
            if name[0] != "." and name not in ("checkpoints", "progress.json")
        )
    assert (tmp_path / "cache there" / "resnet_exp").is_dir(), "its own cache, not the laptop's"
    # On the first machine too; the second time there is nothing to ask the host for.
    assert laptop.run(*seeds).returncode == 0
    shutil.rmtree(laptop.there)
    again = laptop.run(*seeds)
    assert again.returncode == 0 and "2 of 2 runs are already done here" in again.stdout


def test_a_network_that_is_lost_while_the_table_is_shown(
    ssh_host: SshHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    monkeypatch.setattr(laptop_side, "POLL_SECONDS", 0)
    monkeypatch.setenv("PATH", ssh_host.environ["PATH"])
    configs = [make_config(f"runs_dir={here}", f"run_id={run}") for run in ("one", "two")]
    sweep_manifest.write_manifest(there, SweepManifest(sweep="far", runs=(SweepRun("one"), SweepRun("two"))))
    write_run(there, "one")
    ssh_host.start()
    with connected("login", str(there), sys.executable) as host:
        runs = laptop_side.RunsThere(host, "far", here, [PlannedRun(config, (), ()) for config in configs])
        assert [state.kind for state in runs.states()] == ["done", "missing"]
        assert os.listdir(here) == ["one"] and capsys.readouterr().out == ""
        ssh_host.stop()
        write_run(there, "two")
        for _ in range(2):
            assert [state.kind for state in runs.states()] == ["done", "missing"], "what was known last"
        said = capsys.readouterr().out
        assert said.count("note: hydra.launcher.host=login cannot be reached (") == 1
        assert said.count("; the jobs go on, and this is tried again\n") == 1
        ssh_host.start()
        assert [state.kind for state in runs.states()] == ["done", "done"]
        assert capsys.readouterr().out == "note: login answers again\n"
        assert read_result(RunFolder(here / "two")) is not None
        shutil.rmtree(there)
        assert [state.kind for state in runs.states()] == ["done", "done"]
        assert "note: login does not say how the runs are (" in capsys.readouterr().out


def test_a_run_has_ended_once_it_is_here(
    ssh_host: SshHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    monkeypatch.setattr(laptop_side, "POLL_SECONDS", 0)
    monkeypatch.setenv("PATH", ssh_host.environ["PATH"])
    sweep_manifest.write_manifest(there, SweepManifest(sweep="far", runs=(SweepRun("one"),)))
    write_run(there, "one")
    here.write_text("in the way")
    ssh_host.start()
    with connected("login", str(there), sys.executable) as host:
        config = make_config(f"runs_dir={here}", "run_id=one")
        runs = laptop_side.RunsThere(host, "far", here, [PlannedRun(config, (), ())])
        assert [state.kind for state in runs.states()] == ["queued"]
        assert "; the jobs go on, and this is tried again\n" in capsys.readouterr().out
        here.unlink()
        assert [state.kind for state in runs.states()] == ["done"]


@pytest.mark.soak
def test_a_search_goes_on_with_what_came_home(laptop: Laptop, slurm: SlurmCluster, tmp_path: Path) -> None:
    laptop.host.start(**home(slurm, tmp_path))
    space = (
        "-cn",
        "adaptive",
        *SHORT,
        "dataset=digits",
        "ssr=tag(log,interval(0.0112,0.022))",
        "hydra.sweeper.n_trials=2",
        "hydra.sweeper.parallel=1",
    )
    done = laptop.run(*space)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "trial 2 of 2: ssr=" in done.stdout and "sweep far: 2 trials; " in done.stdout
    assert len(list((laptop.folder / "runs").glob("*/result.json"))) == 2
    status = [sys.executable, "-m", "resnet_exp.status", str(laptop.there), "--sweep", "far", "--json"]
    listed = laptop.python.run(status[2:], laptop.folder, laptop.environ)
    assert [json.loads(line)["kind"] for line in listed.stdout.splitlines()] == ["done", "done"]
    again = laptop.run(*space)
    assert again.returncode == 0 and "trial " not in again.stdout and "sweep far: 2 trials; " in again.stdout
