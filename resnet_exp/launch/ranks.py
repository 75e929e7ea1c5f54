"""Start the ranks of one node as fresh processes, forward signals, and leave nothing running."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import IO

from resnet_exp.core.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED
from resnet_exp.core.machine import cpu_shares
from resnet_exp.core.machine.cpu_shares import Cpus
from resnet_exp.core.machine.processes import how_it_ended
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.relay import Relay
from resnet_exp.launch.rendezvous import Rendezvous, held_port
from resnet_exp.runs.failure import Ended, failure_now, write_failure, write_report
from resnet_exp.runs.folder import OWNED, RunFolder

# We set these, so that a launcher around this process cannot affect the ranks.
RENDEZVOUS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
GRACE_SECONDS = 10.0
# Exit codes of a rank that was ended by the signal itself, or by Composer's handler while it builds its trainer.
TERMINATED = (-signal.SIGTERM, 128 + signal.SIGTERM)
POLL_SECONDS = 0.1


def run_ranks(
    folder: RunFolder,
    ranks: int,
    place: Rendezvous,
    owner: int | None,
    shares: Sequence[Cpus] = (),
    settings: Mapping[str, str] = {},
) -> int:
    """Run `ranks` processes of ``resnet_exp.train`` on this node and return one exit code for them all.

    Each rank is a fresh interpreter in its own process group and inherits a copy of `owner`, the folder's
    lock, so the folder stays locked while any of them lives. `owner` is None on all nodes but the first. `shares` has
    the CPUs of each rank; without any, all ranks run on all. `settings` are added to the environment of each.
    """
    world = {"WORLD_SIZE": str(ranks * place.nodes), "LOCAL_WORLD_SIZE": str(ranks), "NODE_RANK": str(place.node)}
    processes: list[subprocess.Popen[bytes]] = []
    with _Signals() as signals, held_port(place) as port, contextlib.ExitStack() as logs:
        world |= {"MASTER_ADDR": place.host, "MASTER_PORT": str(port), **settings}
        relay = logs.enter_context(contextlib.closing(Relay()))
        try:
            for local in range(ranks):
                rank = place.node * ranks + local
                log = logs.enter_context(folder.rank_log(rank).open("ab"))
                environ = {**world, "RANK": str(rank), "LOCAL_RANK": str(local)}
                processes.append(_start(folder, environ, owner, log, shares[local] if shares else None, relay))
            local, code = _wait(processes, signals, partial(_report, folder, place, processes), relay)
        finally:
            _kill(processes)
    rank = place.node * ranks + local
    if signals.received and code in TERMINATED:
        # Stopped before there was anything to save: not a failure, though another rank may have reported one. But with
        # several nodes, srun sends the same signal when another node has failed: keep its report.
        if place.nodes == 1:
            folder.failure.unlink(missing_ok=True)
        return EXIT_INTERRUPTED
    if code < 0:
        _explain(folder, rank, signal.Signals(-code), alone=ranks * place.nodes == 1)
        return EXIT_FAILED
    return code


def _report(folder: RunFolder, place: Rendezvous, processes: list[subprocess.Popen[bytes]]) -> None:
    """With several nodes, report how the ranks of this node ended: a lost node is the one without a report."""
    if place.nodes > 1:
        write_report(folder, place.node, [process.poll() for process in processes])


def _start(
    folder: RunFolder, place: dict[str, str], owner: int | None, log: IO[bytes], cpus: Cpus | None, relay: Relay
) -> subprocess.Popen[bytes]:
    environ = {name: value for name, value in os.environ.items() if name not in (*RENDEZVOUS, cpu_shares.OWN)}
    environ |= {**place, "PYTHONUNBUFFERED": "1", OWNED: "1", **({cpu_shares.OWN: "1"} if cpus else {})}
    environ.pop(console.CONSOLE_FD, None)
    terminal = [relay.descriptor] if place["RANK"] == "0" else []
    if terminal:
        environ |= {console.CONSOLE_FD: str(relay.descriptor), **relay.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "resnet_exp.train", str(folder.path)],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        pass_fds=[*([] if owner is None else [owner]), *terminal],
        # Otherwise a terminal would send Ctrl-C to ranks and data workers directly; `_wait` forwards it instead.
        start_new_session=True,
        preexec_fn=partial(cpu_shares.begin_child, os.getpid(), cpus),
    )


class _Signals:
    """Counts the signals that ask to stop, and restores the handlers afterward.

    The handler only counts; `_wait` acts on it between two polls, so no code is interrupted halfway.
    """

    def __enter__(self) -> _Signals:
        self.received = 0
        # Signals are for the main thread; in another one of a program, nothing asks to stop.
        main = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2) if main else ()
        self._previous = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def _note(self, number: int, frame: object) -> None:
        self.received += 1

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def _wait(
    processes: list[subprocess.Popen[bytes]], signals: _Signals, report: Callable[[], None], relay: Relay
) -> tuple[int, int]:
    """Wait for all ranks, or for the first to fail; returns that local rank and the exit code for all.

    `report` is called before any rank is ended.
    """
    forwarded = 0
    while True:
        relay.show()
        if signals.received > forwarded:
            forwarded = signals.received
            # Report immediately: if srun sent this signal because another node failed, it may kill this process next.
            report()
            if forwarded > 2:
                console.say("killed; the last checkpoint stays")
                return 0, EXIT_INTERRUPTED
            hint = " (twice more Ctrl-C to kill)" if console.width() else ""
            console.say(f"stopping: saving a checkpoint first{hint}")
            for process in processes:
                # Signal only the rank, not its process group: its data workers must live until it has saved.
                process.send_signal(signal.SIGTERM)
        codes = [process.poll() for process in processes]
        failed = [rank for rank, code in enumerate(codes) if code not in (None, EXIT_DONE, EXIT_INTERRUPTED)]
        if failed:
            # A killed rank (negative exit code) cannot report itself, and its peers fail because they lost it.
            report()
            first = min(failed, key=lambda rank: codes[rank] or 0)
            return first, codes[first] or EXIT_FAILED
        if all(code is not None for code in codes):
            return 0, EXIT_INTERRUPTED if EXIT_INTERRUPTED in codes else EXIT_DONE
        time.sleep(POLL_SECONDS)


def _explain(folder: RunFolder, rank: int, number: signal.Signals, alone: bool) -> None:
    """Write ``failure.json`` for a rank that was ended by a signal; `alone` if it is the only one of the run."""
    how = how_it_ended(-number)
    line = f"rank {rank} was ended by {how}; rerun the same command to continue from the last checkpoint"
    # NCCL ends a rank that lost a peer with SIGABRT.
    lost = number == signal.SIGABRT and not alone
    ended: Ended = "lost peer" if lost else "signal"
    write_failure(folder, failure_now(line, type=number.name, rank=rank, ended=ended))


def _signal(processes: list[subprocess.Popen[bytes]], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)


def _kill(processes: list[subprocess.Popen[bytes]]) -> None:
    """Kill all processes of the ranks, whatever happened."""
    _signal(processes, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(process.poll() is None for process in processes):
        time.sleep(POLL_SECONDS)
    _signal(processes, signal.SIGKILL)
    for process in processes:
        process.wait()
