"""What `support.warm` talks to: an interpreter that forks itself where a command would start a new one."""

from __future__ import annotations

import fcntl
import gc
import inspect
import os
import pickle
import runpy
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from resnet_exp.runs.folder import OWNED

LONGEST_REQUEST = 2**20
# Above the descriptors that anything here uses, and the limit of a process.
HIGH, HIGHEST = 500, 1024
# Processes that each command has waiting: no test starts more ranks or runs at once, or more than one conversion.
SPARES = {"training": 2, "answers": 1}
WRITER = "resnet_exp.data.writer"
WARM = {"resnet_exp.train", WRITER}
# What ``python -m`` and PYTHONPATH have added, a folder each, is each process's own.
SYSTEM_PATH = sys.path[2:]


@dataclass(frozen=True)
class Request:
    """What a process shall become."""

    words: list[str]  # MODULE ARGUMENTS
    cwd: str
    environ: dict[str, str]
    descriptors: list[int]  # the numbers that descriptors have there, in the order in which they are sent
    new_session: bool = False
    first: Callable[[], None] | None = None


def send(connection: socket.socket, request: Request, descriptors: list[int]) -> None:
    content = pickle.dumps(request)
    assert len(content) < LONGEST_REQUEST
    socket.send_fds(connection, [content], descriptors)


@dataclass(frozen=True)
class Spare:
    """A process that has done nothing yet and waits for what to become."""

    pid: int
    socket: socket.socket


class WarmPopen(subprocess.Popen[bytes]):
    """Has a spare become a module of `WARM`; starts everything else, and one too many, as ever."""

    spares: ClassVar[list[Spare]] = []

    def _execute_child(self, *values: Any) -> None:
        base = super()._execute_child  # type: ignore[misc]
        given = inspect.signature(base).bind(*values).arguments
        interpreter, option, module = (*given["args"], "", "")[:3]
        if (interpreter, option) != (sys.executable, "-m") or module not in WARM or not self.spares:
            base(*values)
            return
        spare = self.spares.pop()
        cwd, environ = given["cwd"] or os.getcwd(), given["env"] or dict(os.environ)
        request = Request(
            words=given["args"][2:],
            cwd=cwd,
            environ=environ,
            descriptors=[0, 1, 2, *given["pass_fds"]],
            new_session=given["start_new_session"],
            first=given["preexec_fn"],
        )
        # -1: that of this process.
        output = [given[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        with spare.socket:
            send(spare.socket, request, [n if at < 0 else at for n, at in enumerate(output)] + [*given["pass_fds"]])
        self.pid, self._child_created = spare.pid, True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(given[name] for name in pipes))  # type: ignore[attr-defined]


def accept(listener: socket.socket) -> socket.socket:
    """Wait for who asks; returns only in processes forked for one of them each, with the connection."""
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return connection
        connection.close()


def serve(requests: socket.socket, spares: int) -> list[str]:
    """Answer requests; returns only in a process forked for one of them, with its words."""
    while True:
        content, descriptors, _, _ = socket.recv_fds(requests, LONGEST_REQUEST, 8)
        if not content:
            os._exit(0)
        answer, *output = descriptors
        with socket.socket(fileno=answer) as asker:
            pid = os.fork()
            if pid == 0:
                asker.detach()
                requests.detach()
                return _start(pickle.loads(content), output, spares)
            for descriptor in output:
                os.close(descriptor)
            with suppress(BrokenPipeError, ConnectionResetError):  # who asked has given up
                asker.send(str(pid).encode())
                asker.send(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _start(request: Request, descriptors: list[int], spares: int) -> list[str]:
    """Leave spares for what this process will start, and become what is asked; in a spare, what that is asked later."""
    asked: tuple[Request, list[int]] | None = request, descriptors
    while asked is not None:
        request, descriptors = asked
        WarmPopen.spares = []
        starts_nothing = OWNED in request.environ or request.words[0] == WRITER
        asked = None if starts_nothing else _fork_spares(spares)
    return _become(request, descriptors)


def _fork_spares(count: int) -> tuple[Request, list[int]] | None:
    """Fork processes that wait; returns None in this one, and in each of them what it is asked to become."""
    for _ in range(count):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            return _wait_for_request(ours, theirs)
        theirs.close()
        with ours:
            kept = fcntl.fcntl(ours.fileno(), fcntl.F_DUPFD_CLOEXEC, HIGH)
        WarmPopen.spares.append(Spare(pid, socket.socket(fileno=kept)))
    return None


def _wait_for_request(others: socket.socket, requests: socket.socket) -> tuple[Request, list[int]]:
    """Hold nothing open that belongs to another process, neither its output nor its lock."""
    for connection in (others, *(spare.socket for spare in WarmPopen.spares)):
        connection.detach()
    mine = requests.detach()
    os.dup2(mine, 3)
    os.closerange(4, HIGHEST)
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.close(null)
    content, descriptors, _, _ = socket.recv_fds(connection := socket.socket(fileno=3), LONGEST_REQUEST, 8)
    connection.detach()
    if not content:
        os._exit(0)
    return pickle.loads(content), descriptors


def _become(request: Request, descriptors: list[int]) -> list[str]:
    """Have what a new process would have been given, and nothing else open but the spares; returns the words."""
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, HIGH) for descriptor in descriptors]
    os.closerange(3, HIGH)
    for descriptor, number in zip(high, request.descriptors, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request.cwd)
    os.environ.clear()
    os.environ.update(request.environ)
    # Where ``python -m`` looks first, and then on PYTHONPATH.
    sys.path[:] = [request.cwd, *filter(None, request.environ.get("PYTHONPATH", "").split(":")), *SYSTEM_PATH]
    # Which torch reads when it is imported.
    if "torch" in sys.modules and (threads := request.environ.get("OMP_NUM_THREADS")):
        sys.modules["torch"].set_num_threads(int(threads))
    if request.new_session:
        os.setsid()
    if request.first is not None:
        request.first()
    return request.words


def _import_what_commands_import() -> None:
    """All but the modules of the commands themselves, which ``-m`` executes."""
    import hydra.core.plugins
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_svg  # noqa: F401

    import resnet_exp.cli
    import resnet_exp.data.ffcv.conversion
    import resnet_exp.data.streaming.conversion
    import resnet_exp.data.streaming.upload
    import resnet_exp.planning.run_plan
    import resnet_exp.planning.sweep_plan
    import resnet_exp.reporting.sweep_frontier
    import resnet_exp.runs.status_table  # noqa: F401

    hydra.core.plugins.Plugins.instance()
    gc.freeze()


def _import_what_ranks_import() -> None:
    import resnet_exp.training.rank.external_ranks
    import resnet_exp.training.worker
    from resnet_exp.training.rank import lazy_imports

    with lazy_imports.without_garbage_collection(), lazy_imports.without_unused():
        import resnet_exp.training.trainer

    import resnet_exp.data.ffcv.loader
    import resnet_exp.data.imagefolder
    import resnet_exp.data.streaming.loader
    import resnet_exp.data.synthetic  # noqa: F401


if __name__ == "__main__":
    # What is pickled, and the class that forks, is that of the module, not of this script.
    from support import warm_server

    _import_what_commands_import()
    if sys.argv[2] == "training":
        _import_what_ranks_import()
    subprocess.Popen = warm_server.WarmPopen  # type: ignore[assignment,misc]
    spare_count = warm_server.SPARES[sys.argv[2]]
    connection = warm_server.accept(socket.socket(fileno=int(sys.argv[1])))
    module, *arguments = warm_server.serve(connection, spare_count)
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)
