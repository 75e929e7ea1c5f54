"""The login node of a cluster: commands over ssh, files over rsync. One connection serves all of them."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import one_line
from resnet_exp.core.version import __version__
from resnet_exp.runs.command import VERSION, version_line

# Exit code of ssh itself, and of a shell that does not find a program.
SSH_FAILED, NOT_FOUND = 255, (126, 127)
# What a login shell prints of its own comes before it.
MARK = "resnet_exp host:"
NO_RSYNC = "no rsync"
# A connection that says nothing for so long is lost.
ALIVE = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4", "-o", "ConnectTimeout=30")
# Run folders of one copy: a command line has an end.
AT_ONCE = 100
# Of a run, what stays on the cluster: it is of use there only.
STAYS = ("checkpoints", "progress.json", ".*")


@dataclass(frozen=True)
class Finished:
    """A command that has ended on the host."""

    code: int
    output: str
    errors: str


@dataclass(frozen=True)
class Host:
    """A login node.

    Attributes:
        name: as for ssh, ``me@login``.
        folder: of the runs there.
        python: of the environment that has resnet_exp there.
        options: of ssh.
    """

    name: str
    folder: str
    python: str
    options: tuple[str, ...] = ()

    def check(self) -> None:
        """Check that the host can be reached, and has rsync and the same version of resnet_exp.

        Raises:
            RequestError: it does not; the line says what.
        """
        for program in ("ssh", "rsync"):
            if shutil.which(program) is None:
                raise RequestError(f"hydra.launcher.host={self.name} needs {program} on this machine; install it")
        done = self.run(
            f"command -v rsync >/dev/null || echo '{MARK} {NO_RSYNC}'; {self.module('resnet_exp', VERSION)}"
        )
        if done.code in NOT_FOUND:
            raise RequestError(
                f"hydra.launcher.remote_python={self.python} is not on {self.name}; name the python of the environment "
                "that has resnet_exp there"
            )
        version = done.output.strip().rpartition("\n")[2]
        if done.code or not version.startswith("resnet_exp "):
            raise RequestError(
                f"hydra.launcher.remote_python={self.python} on {self.name} has no resnet_exp ({last_line(done)}); "
                f"install version {__version__} there"
            )
        if version.split()[1] != __version__:
            raise RequestError(
                f"{self.name} has {version.partition(' (')[0]}, this machine has {__version__}; install the same there"
            )
        if f"{MARK} {NO_RSYNC}" in done.output:
            raise RequestError(f"hydra.launcher.host={self.name} has no rsync; install it there")
        if version != (ours := version_line()):
            console.say(f"note: {self.name} has {version}, this machine has {ours}")

    def module(self, name: str, *words: str) -> str:
        """The shell command that runs a module of Python there."""
        return " ".join([_path(self.python), "-m", name, *words])

    @property
    def quoted_folder(self) -> str:
        """The folder of the runs as a word of a shell there."""
        return _path(self.folder)

    def run(self, command: str, given: str = "") -> Finished:
        """Run a shell command there; `given` is its standard input.

        Raises:
            RequestError: ssh fails.
        """
        line = ["ssh", *ALIVE, *self.options, self.name, command]
        done = subprocess.run(line, input=given, capture_output=True, text=True, errors="replace")
        finished = Finished(done.returncode, done.stdout, done.stderr)
        if done.returncode == SSH_FAILED:
            raise RequestError(
                f"hydra.launcher.host={self.name} cannot be reached ({last_line(finished)}); try ssh {self.name} true"
            )
        return finished

    def bring(self, names: Sequence[str], to: Path) -> None:
        """Copy run folders from there into a folder of runs here.

        Raises:
            RunFailed: rsync fails.
        """
        excluded = [f"--exclude=/*/{name}" for name in STAYS]
        shell = shlex.join(["ssh", *ALIVE, *self.options])
        folder = self.folder.removeprefix("~/").rstrip("/")  # a relative path begins at the home
        for start in range(0, len(names), AT_ONCE):
            first, *others = (f"{folder}/{name}" for name in names[start : start + AT_ONCE])
            there = [f"{self.name}:{first}", *(f":{other}" for other in others)]
            # A result arrives with all that belongs to it: files get their names at the end.
            line = ["rsync", "-rlt", "--delete-after", "--delay-updates", *excluded, "-e", shell, *there, f"{to}/"]
            done = subprocess.run(line, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
            if done.returncode:
                reason = _first(Finished(done.returncode, done.stdout, done.stderr))
                raise RunFailed(f"results cannot be copied from {self.name}:{self.folder} to {to} ({reason})")


@contextlib.contextmanager
def connected(host: str, folder: str, python: str) -> Iterator[Host]:
    """A host whose commands share one connection: a password or a second factor is asked for once."""
    # Sockets have short names only.
    with tempfile.TemporaryDirectory(prefix="ssh-", dir="/tmp") as place:
        options = ("-o", "ControlMaster=auto", "-o", f"ControlPath={place}/%C", "-o", "ControlPersist=60")
        try:
            yield Host(host, folder, python, options)
        finally:
            if any(Path(place).iterdir()):
                subprocess.run(["ssh", *options, "-O", "exit", host], capture_output=True)


def _path(path: str) -> str:
    """A path as a word of a shell there, whose home ``~`` is."""
    return '"$HOME"' + shlex.quote(path[1:]) if path.startswith("~/") else shlex.quote(path)


def last_line(done: Finished) -> str:
    """The last line of what a command said."""
    lines = (done.errors.strip() or done.output.strip() or f"exit code {done.code}").splitlines()
    return one_line(lines[-1])


def _first(done: Finished) -> str:
    """The first line of what a command said: rsync ends with what follows from it."""
    return one_line((done.errors.strip() or f"exit code {done.code}").splitlines()[0])
