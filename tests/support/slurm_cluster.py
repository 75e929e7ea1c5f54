"""A real SLURM cluster of two nodes on this machine, once per test session: the fixture ``slurm``."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent / "slurm"
CANNOT = 77  # up.sh: this machine cannot have a cluster


class SlurmCluster:
    """Nodes ``n1`` and ``n2`` with 8 fake GPUs each; jobs in partition ``urgent`` preempt those in ``main``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "etc" / "slurm.conf"

    @property
    def env(self) -> dict[str, str]:
        """What a client's process needs: this process's environment and ``SLURM_CONF``."""
        return {**os.environ, "SLURM_CONF": str(self.conf)}

    @property
    def address(self) -> str:
        """The address at which nodes reach this machine."""
        network = dict(word.split("=") for word in (self.folder / "network").read_text().split())
        return f"10.77.{network['number']}.254" if network["net"] == "netns" else "127.0.0.1"

    def start(self) -> tuple[int, str]:
        """Start what does not run; the exit status and the errors of up.sh."""
        # Into a file, for a daemon would hold a pipe open; in a session of its own, away from Ctrl-C.
        with tempfile.TemporaryFile("w+") as errors:
            command = [SCRIPTS / "up.sh", self.folder]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=errors, start_new_session=True)
            errors.seek(0)
            return done.returncode, errors.read().strip()

    def stop(self) -> None:
        """Cancel all jobs and end the cluster."""
        subprocess.run([SCRIPTS / "down.sh", self.folder], check=True, start_new_session=True)

    def run(self, *command: str | Path, timeout: float = 300) -> str:
        """Standard output of ``sinfo``, ``scontrol`` and the like; a failure raises with what it said."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=timeout)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def submit(self, script: str, *options: str) -> str:
        """Submit a shell command with sbatch's options; the job's id."""
        return self.run("sbatch", "--parsable", "--output=/dev/null", *options, "--wrap", script)

    def state(self, job: str) -> str:
        """The job's state by sacct, such as ``RUNNING`` or ``CANCELLED``; empty before sacct knows it."""
        lines = self.run("sacct", "-X", "-n", "-P", "-o", "State", "-j", job).splitlines()
        return lines[-1].split()[0] if lines else ""

    def wait_state(self, job: str, *states: str, timeout: float = 300) -> str:
        """Wait until the job is in one of `states` and return it."""
        end = time.monotonic() + timeout
        while (state := self.state(job)) not in states:
            if time.monotonic() > end:
                raise TimeoutError(f"job {job} is {state or 'unknown'} after {timeout:g} s, not {' or '.join(states)}")
            time.sleep(0.2)
        return state

    def stop_controller(self) -> None:
        """End slurmctld: jobs go on, but squeue and sbatch fail until `start_controller`."""
        pid = int((self.folder / "run" / "slurmctld.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 120
        while self._environ(pid):
            if time.monotonic() > end:
                raise TimeoutError("slurmctld does not end")
            time.sleep(0.1)

    def start_controller(self) -> None:
        """Start slurmctld from its saved state, and nothing else: a node that failed stays so."""
        path = f"{os.environ['PATH']}:/usr/sbin"
        program = shutil.which("slurmctld", path=path)
        assert program
        quiet = subprocess.DEVNULL
        subprocess.run([program], env=self.env, check=True, stdin=quiet, stdout=quiet, stderr=quiet)
        end = time.monotonic() + 120
        while "UP" not in subprocess.run(["scontrol", "ping"], env=self.env, capture_output=True, text=True).stdout:
            if time.monotonic() > end:
                raise TimeoutError("slurmctld does not answer")
            time.sleep(0.1)

    def restart_controller(self) -> None:
        """End slurmctld and start it again."""
        self.stop_controller()
        self.start_controller()

    @contextmanager
    def setting(self, name: str, value: str) -> Iterator[None]:
        """Another value in slurm.conf for a while, in which the controller alone knows of it."""
        before = self.conf.read_text()
        self.conf.write_text(re.sub(rf"^{name}=.*$", f"{name}={value}", before, flags=re.MULTILINE))
        try:
            self.restart_controller()
            self._wait_for_nodes()
            yield
        finally:
            self.conf.write_text(before)
            self.restart_controller()
            self._wait_for_nodes()

    def _wait_for_nodes(self) -> None:
        """Wait until each node has answered the controller: before that it takes no job."""
        end = time.monotonic() + 120
        while re.search(r"\*|unk", states := self.run("sinfo", "-h", "-N", "-o", "%N %T")):
            if time.monotonic() > end:
                raise TimeoutError(f"nodes do not answer: {states}")
            time.sleep(0.1)

    def kill_node(self, name: str) -> None:
        """Kill all that runs on the node, as a loss of power would."""
        # The daemons first: none of them is to report how the processes ended.
        os.kill(int((self.folder / "run" / f"{name}.pid").read_text()), signal.SIGKILL)
        # Again, for one that was just starting a step.
        while on_node := [pid for pid, env in self._members() if env.get("SLURMD_NODENAME") == name]:
            for pid in sorted(on_node, key=set(self.processes()).__contains__):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def fail_node(self, name: str) -> None:
        """Kill the node, and have SLURM see it now."""
        self.kill_node(name)
        self.run("scontrol", "update", f"NodeName={name}", "State=DOWN", "Reason=test")

    def reboot_node(self, name: str) -> None:
        """Kill the node, and have it back before SLURM has seen it."""
        self.kill_node(name)
        self._start_again()

    def restore_node(self, name: str) -> None:
        """Bring back a node that `fail_node` took."""
        self.run("scontrol", "update", f"NodeName={name}", "State=RESUME")
        self._start_again()

    def _start_again(self) -> None:
        code, errors = self.start()
        if code:
            raise RuntimeError(errors)

    def processes(self, job: str | None = None) -> list[int]:
        """The processes that live inside jobs of this cluster, or inside one job."""
        return [
            pid
            for pid, env in self._members()
            if "SLURM_JOB_ID" in env and "SLURMD_NODENAME" in env and job in (None, env["SLURM_JOB_ID"])
        ]

    def task(self, job: str) -> int:
        """The process that srun has started for a job (of no array) on its first node; not its ranks."""
        # The batch script has the first of these too.
        wanted = {"SLURM_PROCID": "0", "SLURM_STEP_ID": "0", "SLURM_JOB_ID": job}
        return min(pid for pid, env in self._members() if wanted.items() <= env.items())  # its ranks came later

    def _members(self) -> list[tuple[int, dict[str, str]]]:
        """All processes that were started with this cluster's SLURM_CONF."""
        found = ((int(place.name), self._environ(int(place.name))) for place in Path("/proc").glob("[0-9]*"))
        return [(pid, env) for pid, env in found if env.get("SLURM_CONF") == str(self.conf)]

    @staticmethod
    def _environ(pid: int) -> dict[str, str]:
        """A process's environment when it started; empty for a zombie and for none."""
        try:
            text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
        except OSError:
            return {}
        pairs = (entry.partition("=") for entry in text.split("\0") if entry)
        return {name: value for name, _, value in pairs}


@pytest.fixture(scope="session")
def slurm() -> Iterator[SlurmCluster]:
    """A cluster that lives as long as the test session; where there cannot be one, its tests are skipped."""
    # Not pytest's temporary folder: paths of sockets below it would be too long.
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    cluster = SlurmCluster(folder)
    # Ends the cluster also when this process is killed and nothing below is reached.
    last_words = f'tail --pid={os.getpid()} -f /dev/null; "{SCRIPTS}/down.sh" "{folder}"; rm -rf "{folder}"'
    guard = subprocess.Popen(["sh", "-c", last_words], stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        code, errors = cluster.start()
        if code == CANNOT:
            pytest.skip(errors)
        if code:
            pytest.fail(f"the SLURM cluster does not start:\n{errors}", pytrace=False)
        yield cluster
    finally:
        os.killpg(guard.pid, signal.SIGKILL)
        guard.wait()
        if (folder / "log").exists():
            cluster.stop()
        shutil.rmtree(folder)
