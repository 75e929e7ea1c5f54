"""One afternoon on a cluster: several sweeps at once, and everything that goes wrong with them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resnet_exp.runs.folder import RunFolder
from support.commands import TINY, Finished, command
from support.paths import TESTS
from support.slurm_cluster import SlurmCluster
from support.warm import WarmPython

# Nearly half a node each: no more than four runs at a time share the cores that there really are, and some are free.
PLACE = ("hydra/launcher=slurm", "hydra.launcher.cpus_per_task=30", "hydra.launcher.mem_gb=6")
PACE = ("+callbacks.misbehave._target_=support.misbehave.Misbehave",)
OVER = ("done", "failed", "stopped", "missing")


@dataclass
class Scenario:
    """The cluster, the folder of the runs, and what was seen on the way."""

    slurm: SlurmCluster
    folder: Path
    photos: Path
    python: WarmPython
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def environ(self, **more: str) -> dict[str, str]:
        return {**self.slurm.env, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS), **more}

    def line(self, *args: str) -> list[str]:
        data = ("recipe=mild", "dataset=imagefolder", f"dataset.dir={self.photos}", "data=imagefolder", *TINY)
        return command(self.folder, "-m", *data, *PACE, *PLACE, *args)

    def submit(self, *args: str, **environ: str) -> Finished:
        """Submit, and do not wait for the jobs."""
        return self.execute(self.line(*args, "hydra.launcher.wait=false"), 200, **environ)

    def accept(self, *args: str, **environ: str) -> None:
        """Submit what must not be refused."""
        done = self.submit(*args, **environ)
        assert done.returncode == 0, done.stderr

    def execute(self, line: list[str], timeout: float, **environ: str) -> Finished:
        return self.python.run(line[2:], self.folder, self.environ(**environ), timeout)

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Submit and wait, in the background."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.line(*args), cwd=self.folder, env=self.environ(), stdout=pipe, stderr=subprocess.STDOUT, text=True
        )

    def status(self, *args: str) -> list[dict[str, Any]]:
        """What ``resnet_exp status --json`` says."""
        line = [command(self.folder)[0], "-m", "resnet_exp.status", str(self.runs), "--json", *args]
        done = self.execute(line, 200)
        assert done.returncode in (0, 1), done.stderr
        return [json.loads(row) for row in done.stdout.splitlines()]

    def states(self, sweep: str) -> dict[str, dict[str, Any]]:
        """State of each run of a sweep, by the value of ``callbacks.misbehave.how`` or else of the seed."""
        manifest = json.loads((self.runs / ".sweeps" / f"{sweep}.json").read_text())
        name = {row["run_id"]: _name(row["overrides"]) for row in manifest["runs"]}
        return {name[state["run_id"]]: state for state in self.status("--sweep", sweep)}

    def wait(self, what: str, condition: Callable[[], bool], timeout: float = 240) -> None:
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: not after {timeout:g} s; {self.status()}")
            time.sleep(0.5)

    def wait_over(self, sweep: str, timeout: float = 240) -> dict[str, dict[str, Any]]:
        self.wait(f"end of {sweep}", lambda: all(s["kind"] in OVER for s in self.states(sweep).values()), timeout)
        return self.states(sweep)

    def folder_of(self, sweep: str, name: str) -> Path:
        return Path(self.states(sweep)[name]["path"])

    def gate(self, name: str) -> Path:
        """The file for which a run waits from batch 5 on."""
        return self.folder / f"{name}.gate"

    def log(self, sweep: str, name: str) -> Path:
        """What a run's first node has printed."""
        return self.runs / ".submitit" / f"{self.states(sweep)[name]['job']}_0_log.out"

    def wait_batches(self, sweep: str, name: str, batches: int) -> None:
        """Wait until a run of one rank has trained so many batches (it must have ``trace=true``).

        Several ranks write the lines of up to eight batches together.
        """
        trace = self.folder_of(sweep, name) / "trace.jsonl"
        self.wait(f"batch {batches} of {name}", lambda: trace.exists() and trace.read_text().count("\n") >= batches)

    def wait_said(self, log: Path, text: str, times: int = 1) -> None:
        """Wait until a job, which may not have begun, has said something so many times."""
        self.wait(f"{text} in {log}", lambda: log.exists() and log.read_text().count(text) >= times)

    def wait_checkpoint(self, sweep: str, name: str, batches: int) -> None:
        """Wait until a run would go on from the end of so many batches."""
        latest = RunFolder(self.folder_of(sweep, name)).latest_checkpoint
        self.wait(f"checkpoint {batches} of {name}", lambda: f"-ba{batches}-" in latest.resolve().name)


def _name(overrides: list[str]) -> str:
    values = dict(override.lstrip("+").split("=", 1) for override in overrides)
    return values.get("callbacks.misbehave.how") or values["seed"]


def interrupt(process: subprocess.Popen[str], until: str) -> str:
    """Press Ctrl-C once the process has printed `until`; all that it printed."""
    printed = read(process, until)
    os.kill(process.pid, signal.SIGINT)
    return printed + rest(process)


def read(process: subprocess.Popen[str], until: str) -> str:
    """What a process prints up to a line that contains `until`."""
    assert process.stdout is not None
    printed = ""
    while until not in printed:
        line = process.stdout.readline()
        assert line, printed
        printed += line
    return printed


def rest(process: subprocess.Popen[str]) -> str:
    """What else a process prints until it ends; `communicate` would miss what `readline` has read ahead."""
    assert process.stdout is not None
    with process:
        return process.stdout.read()
