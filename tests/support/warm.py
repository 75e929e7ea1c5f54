"""The real command line without its start: forked from an interpreter that has imported what it needs.

`warm_cli` is for commands that answer and end, `train_cli` for those that train. What they start, ranks and the writer
of a conversion, is forked as well. Both run the code that a new process would run, with the folder, the
environment, the arguments, the descriptors, the parent and the session that it would have. What a run does with
imports, and how it starts, is tested on new processes, by `run_cli`.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from resnet_exp.core.machine.processes import die_with_parent
from support.commands import Finished, RunCli, command
from support.paths import TESTS
from support.warm_server import Request, send


def _read(descriptor: int) -> str:
    with open(descriptor, errors="replace") as file:
        return file.read()


class WarmPython:
    """Runs ``python -m MODULE ARGUMENTS`` as often as it is asked to, one at a time."""

    def __init__(self, connection: socket.socket) -> None:
        """`connection`: to the interpreter."""
        self.socket = connection

    def run(
        self,
        words: list[str],
        cwd: Path,
        environ: dict[str, str] | None = None,
        timeout: float = 300,
        stdout: int | None = None,
    ) -> Finished:
        """The finished process of ``python -m WORDS``, its output as text; a hang raises TimeoutError.

        As with `subprocess.run`, it has not finished while anything that it has started can still write.

        Args:
            words: the module and its arguments.
            cwd: where it runs.
            environ: its environment; None for that of this process.
            timeout: in seconds.
            stdout: a descriptor for its standard output, which is then not read here, but closed.
        """
        request = Request(words, str(cwd), dict(os.environ if environ is None else environ), [1, 2])
        with ThreadPoolExecutor(max_workers=2) as readers:
            pipes = [os.pipe(), os.pipe()]
            texts = [readers.submit(_read, reading) for reading, _ in pipes]
            output = [writing for _, writing in pipes]
            if stdout is not None:
                os.close(output[0])
                output[0] = stdout
            code = self._ask(request, output, timeout)
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
        """Ask for nothing more; the end of this process says so too."""
        self.socket.shutdown(socket.SHUT_RDWR)  # closing is no end while a fork of this process has it open
        self.socket.close()


@contextmanager
def warm(kind: str, folder: Path) -> Iterator[WarmPython]:
    """One interpreter for all who name the same `folder`, started by the first of them, which also ends it.

    Args:
        kind: ``training`` or ``answers``.
        folder: its address.
    """
    address, started = folder / f"warm_{kind}", None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with (folder / "warm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            connection.connect(str(address))
        except (FileNotFoundError, ConnectionRefusedError):
            started = _start(kind, address)
            connection.connect(str(address))
    python = WarmPython(connection)
    try:
        yield python
    finally:
        python.close()
        if started is not None:
            started.kill()
            started.wait()


def _start(kind: str, address: Path) -> subprocess.Popen[bytes]:
    address.unlink(missing_ok=True)
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    # No terminal, as behind the pipes of `subprocess.run`.
    null = subprocess.DEVNULL
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(address))
        listener.listen()
        return subprocess.Popen(
            [sys.executable, "-m", "support.warm_server", str(listener.fileno()), kind],
            pass_fds=[listener.fileno()],
            env=environ,
            stdin=null,
            stdout=null,
            preexec_fn=partial(die_with_parent, signal.SIGKILL, os.getpid()),
        )


def _of_all_workers(kind: str, factory: pytest.TempPathFactory) -> AbstractContextManager[WarmPython]:
    base = factory.getbasetemp()
    return warm(kind, base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmPython]:
    """An interpreter to fork commands from that answer."""
    with _of_all_workers("answers", tmp_path_factory) as python:
        yield python


@pytest.fixture(scope="session")
def warm_training(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmPython]:
    """An interpreter to fork commands from that train, with their ranks."""
    with _of_all_workers("training", tmp_path_factory) as python:
        yield python


def _run_cli(folder: Path, warm: WarmPython) -> RunCli:
    def run(*args: str, timeout: float = 300, module: str = "resnet_exp") -> Finished:
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
