"""The real command line without its start: forked from an interpreter that has imported what it needs.

For commands that answer and end. What a run does with processes, signals and imports is tested on processes that start
as a user's do, with `run_cli`.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.commands import Finished, RunCli, command
from support.paths import TESTS

LONGEST_REQUEST = 2**20


class WarmPython:
    """Runs ``python -m MODULE ARGUMENTS`` as often as it is asked to, one at a time."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environ = {**os.environ, "PYTHONPATH": str(TESTS)}
        line = [sys.executable, "-m", "support.warm", str(theirs.fileno())]
        # No terminal, as behind the pipes of `subprocess.run`.
        null = subprocess.DEVNULL
        self.process = subprocess.Popen(
            line, pass_fds=[theirs.fileno()], env=environ, stdin=null, stdout=null, stderr=None
        )
        theirs.close()

    def run(self, words: list[str], cwd: Path, environ: dict[str, str] | None = None, timeout: float = 120) -> Finished:
        """The finished process of ``python -m WORDS``, its output as text; a hang raises TimeoutError."""
        request = {"words": words, "cwd": str(cwd), "environ": dict(os.environ if environ is None else environ)}
        with (
            tempfile.TemporaryFile("w+", errors="replace") as out,
            tempfile.TemporaryFile("w+", errors="replace") as err,
        ):
            content = json.dumps(request).encode(errors="surrogateescape")
            assert len(content) < LONGEST_REQUEST
            code = self._ask(content, [out.fileno(), err.fileno()], timeout)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(words, code, out.read(), err.read())

    def _ask(self, content: bytes, descriptors: list[int], timeout: float) -> int:
        """Exit code of a request, answered on a connection of its own: what is given up disturbs no other."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                socket.send_fds(self.socket, [content], [*descriptors, theirs.fileno()])
            pid = int(ours.recv(100))
            ours.settimeout(timeout)
            try:
                return int(ours.recv(100))
            except BaseException:
                os.kill(pid, signal.SIGKILL)
                raise

    def close(self) -> None:
        """End the interpreter; it does so by itself when this process ends."""
        self.socket.shutdown(socket.SHUT_RDWR)  # closing is no end while a fork of this process has it open
        self.socket.close()
        self.process.wait(timeout=30)


def serve(requests: socket.socket) -> list[str]:
    """Answer requests; returns only in a process forked for one of them, with its words."""
    while True:
        content, descriptors, _, _ = socket.recv_fds(requests, LONGEST_REQUEST, 3)
        if not content:
            os._exit(0)
        *output, answer = descriptors
        with socket.socket(fileno=answer) as asker:
            pid = os.fork()
            if pid == 0:
                requests.close()
                asker.close()
                return _become(json.loads(content), output)
            for descriptor in output:
                os.close(descriptor)
            with suppress(BrokenPipeError, ConnectionResetError):  # who asked has given up
                asker.send(str(pid).encode())
                asker.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _become(request: dict[str, object], descriptors: list[int]) -> list[str]:
    """Have the folder, the environment and the output that a new process would have been given."""
    for number, descriptor in enumerate(descriptors, start=1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    words, cwd, environ = request["words"], request["cwd"], request["environ"]
    assert isinstance(words, list) and isinstance(cwd, str) and isinstance(environ, dict)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    # Where ``python -m`` looks first, and then on PYTHONPATH.
    sys.path[:2] = [cwd, *filter(None, environ.get("PYTHONPATH", "").split(":"))]
    return words


def _import_what_commands_import() -> None:
    """All but the modules of the commands themselves, which ``-m`` executes."""
    import hydra.core.plugins

    import resnet_exp.cli
    import resnet_exp.data.streaming.upload
    import resnet_exp.planning.run_plan
    import resnet_exp.planning.sweep_plan
    import resnet_exp.runs.status_table  # noqa: F401

    hydra.core.plugins.Plugins.instance()
    gc.freeze()


@pytest.fixture(scope="session")
def warm_python() -> Iterator[WarmPython]:
    """An interpreter to fork the front's commands from."""
    warm = WarmPython()
    yield warm
    warm.close()


@pytest.fixture
def warm_cli(tmp_path: Path, warm_python: WarmPython) -> RunCli:
    """`run_cli` for commands that only answer."""

    def run(*args: str, timeout: float = 120, module: str = "resnet_exp") -> Finished:
        words = command(tmp_path, *args)[2:] if module == "resnet_exp" else [module, *args]
        return warm_python.run(words, tmp_path, timeout=timeout)

    return run


if __name__ == "__main__":
    _import_what_commands_import()
    module, *arguments = serve(socket.socket(fileno=int(sys.argv[1])))
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)
