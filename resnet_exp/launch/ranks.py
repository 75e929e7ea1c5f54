"""Start the ranks of one node as fresh processes, pass signals on, and leave nothing running."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import IO

from resnet_exp.core import console
from resnet_exp.core.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED
from resnet_exp.core.processes import die_with_parent
from resnet_exp.launch.rendezvous import Rendezvous
from resnet_exp.runs.failure import Ended, failure_now, write_failure, write_report
from resnet_exp.runs.folder import OWNED, RunFolder

# Ours replace those of a launcher in which this process may run.
RENDEZVOUS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
GRACE_SECONDS = 10.0
# By the signal itself, or by the handler that Composer has while it builds its trainer.
TERMINATED = (-signal.SIGTERM, 128 + signal.SIGTERM)
POLL_SECONDS = 0.1


def run_ranks(folder: RunFolder, ranks: int, place: Rendezvous, owner: int | None) -> int:
    """Run `ranks` processes of ``resnet_exp.train`` on this node and return one exit code for them all.

    Each rank is a fresh interpreter in the launcher's own new process group and holds a copy of `owner`, the folder's
    lock, so that the folder stays owned while any of them lives. On all nodes but the first there is none.
    """
    world = {"WORLD_SIZE": str(ranks * place.nodes), "LOCAL_WORLD_SIZE": str(ranks), "NODE_RANK": str(place.node)}
    world |= {"MASTER_ADDR": place.host, "MASTER_PORT": str(place.port)}
    processes: list[subprocess.Popen[bytes]] = []
    with _Signals() as signals, contextlib.ExitStack() as logs:
        try:
            for local in range(ranks):
                rank = place.node * ranks + local
                log = logs.enter_context(folder.rank_log(rank).open("ab"))
                environ = {**world, "RANK": str(rank), "LOCAL_RANK": str(local)}
                processes.append(_start(folder, environ, owner, log))
            local, code = _wait(processes, signals, partial(_report, folder, place, processes))
        finally:
            _kill(processes)
    rank = place.node * ranks + local
    if signals.received and code in TERMINATED:
        # Stopped before there was anything to save: no failure, though another rank may have called it one. Of several
        # nodes it may be another that has failed, which srun answers with the same signal.
        if place.nodes == 1:
            folder.failure.unlink(missing_ok=True)
        return EXIT_INTERRUPTED
    if code < 0:
        _explain(folder, rank, signal.Signals(-code), alone=ranks * place.nodes == 1)
        return EXIT_FAILED
    return code


def _report(folder: RunFolder, place: Rendezvous, processes: list[subprocess.Popen[bytes]]) -> None:
    """Say, where there are several nodes, how the ranks of this one have ended: a node that is lost says nothing."""
    if place.nodes > 1:
        write_report(folder, place.node, [process.poll() for process in processes])


def _start(folder: RunFolder, place: dict[str, str], owner: int | None, log: IO[bytes]) -> subprocess.Popen[bytes]:
    environ = {name: value for name, value in os.environ.items() if name not in RENDEZVOUS}
    environ |= {**place, "PYTHONUNBUFFERED": "1", OWNED: "1"}
    environ.pop(console.CONSOLE_FD, None)
    terminal = [os.dup(sys.stdout.fileno())] if place["RANK"] == "0" else []
    if terminal:
        environ[console.CONSOLE_FD] = str(terminal[0])
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "resnet_exp.train", str(folder.path)],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[*([] if owner is None else [owner]), *terminal],
            # Else a terminal's Ctrl-C would go to ranks and data workers directly; here it comes through `_wait`.
            start_new_session=True,
            preexec_fn=partial(die_with_parent, signal.SIGTERM),
        )
    finally:
        for descriptor in terminal:
            os.close(descriptor)


class _Signals:
    """Counts the signals that ask to stop, and restores the handlers afterward.

    The handler only counts: `_wait` acts between two polls, not in the middle of whatever runs.
    """

    def __enter__(self) -> _Signals:
        self.received = 0
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
        self._previous = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def _note(self, number: int, frame: object) -> None:
        self.received += 1

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def _wait(processes: list[subprocess.Popen[bytes]], signals: _Signals, report: Callable[[], None]) -> tuple[int, int]:
    """Wait for all ranks, or for the first to fail: a local rank and the exit code of all.

    `report` is called before any of them is ended.
    """
    forwarded = 0
    while True:
        if signals.received > forwarded:
            forwarded = signals.received
            # At once: srun, which asks like this when another node has failed, may kill this process next.
            report()
            if forwarded > 2:
                console.say("killed; the last checkpoint stays")
                return 0, EXIT_INTERRUPTED
            hint = " (twice more Ctrl-C to kill)" if console.width() else ""
            console.say(f"stopping: saving a checkpoint first{hint}")
            for process in processes:
                # The rank alone: its data workers must live until it has saved.
                process.send_signal(signal.SIGTERM)
        codes = [process.poll() for process in processes]
        failed = [rank for rank, code in enumerate(codes) if code not in (None, EXIT_DONE, EXIT_INTERRUPTED)]
        if failed:
            # A killed rank, whose code is negative, cannot say so itself, and its peers fail for having lost it.
            report()
            first = min(failed, key=lambda rank: codes[rank] or 0)
            return first, codes[first] or EXIT_FAILED
        if all(code is not None for code in codes):
            return 0, EXIT_INTERRUPTED if EXIT_INTERRUPTED in codes else EXIT_DONE
        time.sleep(POLL_SECONDS)


def _explain(folder: RunFolder, rank: int, number: signal.Signals, alone: bool) -> None:
    """Write ``failure.json`` for a rank that was ended by a signal; `alone` if it is the only one of the run."""
    hint = " (out of memory?)" if number == signal.SIGKILL else ""
    line = f"rank {rank} was ended by {number.name}{hint}; rerun the same command to continue from the last checkpoint"
    # NCCL ends a rank that has lost another by SIGABRT.
    lost = number == signal.SIGABRT and not alone
    ended: Ended = "lost peer" if lost else "signal"
    write_failure(folder, failure_now(line, type=number.name, rank=rank, ended=ended))


def _signal(processes: list[subprocess.Popen[bytes]], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)


def _kill(processes: list[subprocess.Popen[bytes]]) -> None:
    """Leave no process behind, whatever happened."""
    _signal(processes, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(process.poll() is None for process in processes):
        time.sleep(POLL_SECONDS)
    _signal(processes, signal.SIGKILL)
    for process in processes:
        process.wait()
