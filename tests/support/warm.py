"""The real command line without its start: forked from an interpreter that has imported what it needs.

`warm_cli` is for commands that answer and end, `train_cli` for those that train. What they start, ranks and the writer
of a conversion, is forked as well. Both run the code that a new process would run, with the folder, the
environment, the arguments, the descriptors, the parent and the session that it would have. What a run does with
imports, and how it starts, is tested on new processes, by `run_cli`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.commands import Finished, RunCli, command
from support.paths import TESTS
from support.warm_server import Request, send


def _read(descriptor: int) -> str:
    with open(descriptor, errors="replace") as file:
        return file.read()


class WarmPython:
    """Runs ``python -m MODULE ARGUMENTS`` as often as it is asked to, one at a time."""

    def __init__(self, kind: str) -> None:
        """`kind`: ``training``, ``answers`` or ``tracking``."""
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environ = {**os.environ, "PYTHONPATH": str(TESTS)}
        line = [sys.executable, "-m", "support.warm_server", str(theirs.fileno()), kind]
        # No terminal, as behind the pipes of `subprocess.run`.
        null = subprocess.DEVNULL
        self.process = subprocess.Popen(
            line, pass_fds=[theirs.fileno()], env=environ, stdin=null, stdout=null, stderr=None
        )
        theirs.close()

    def run(self, words: list[str], cwd: Path, environ: dict[str, str] | None = None, timeout: float = 120) -> Finished:
        """The finished process of ``python -m WORDS``, its output as text; a hang raises TimeoutError.

        As with `subprocess.run`, it has not finished while anything that it has started can still write.
        """
        request = Request(words, str(cwd), dict(os.environ if environ is None else environ), [1, 2])
        with ThreadPoolExecutor(max_workers=2) as readers:
            pipes = [os.pipe(), os.pipe()]
            texts = [readers.submit(_read, reading) for reading, _ in pipes]
            code = self._ask(request, [writing for _, writing in pipes], timeout)
            return subprocess.CompletedProcess(words, code, texts[0].result(timeout), texts[1].result(timeout))

    def _ask(self, request: Request, output: list[int], timeout: float) -> int:
        """Exit code of a request, answered on a connection of its own: what is given up disturbs no other."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            try:
                send(self.socket, request, [theirs.fileno(), *output])
            finally:
                for descriptor in (theirs.detach(), *output):
                    os.close(descriptor)
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


def _fixture(kind: str) -> Iterator[WarmPython]:
    warm = WarmPython(kind)
    yield warm
    warm.close()


@pytest.fixture(scope="session")
def warm_python() -> Iterator[WarmPython]:
    """An interpreter to fork commands from that answer."""
    yield from _fixture("answers")


@pytest.fixture(scope="session")
def warm_tracking() -> Iterator[WarmPython]:
    """An interpreter to fork commands from that talk to W&B."""
    yield from _fixture("tracking")


@pytest.fixture(scope="session")
def warm_training() -> Iterator[WarmPython]:
    """An interpreter to fork commands from that train, with their ranks."""
    yield from _fixture("training")


def _run_cli(folder: Path, warm: WarmPython) -> RunCli:
    def run(*args: str, timeout: float = 120, module: str = "resnet_exp") -> Finished:
        words = command(folder, *args)[2:] if module == "resnet_exp" else [module, *args]
        return warm.run(words, folder, timeout=timeout)

    return run


@pytest.fixture
def warm_cli(tmp_path: Path, warm_python: WarmPython) -> RunCli:
    """`run_cli` for commands that only answer."""
    return _run_cli(tmp_path, warm_python)


@pytest.fixture
def train_cli(tmp_path: Path, warm_training: WarmPython) -> RunCli:
    """`run_cli` for commands that train."""
    return _run_cli(tmp_path, warm_training)
