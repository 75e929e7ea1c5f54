"""Which node of a run this process is on, and the address at which its ranks connect."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Generator
from dataclasses import dataclass

from resnet_exp.config.schema import HardwareConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine import slurm

# Ports for jobs: below Linux's ephemeral ports (32768 and up).
FIRST_PORT, PORTS = 20000, 12000


@dataclass(frozen=True)
class Rendezvous:
    """This node among those of a run, and the address at which the ranks connect; port 0 is any that is free."""

    nodes: int
    node: int
    host: str
    port: int


def find_rendezvous(hardware: HardwareConfig) -> Rendezvous:
    """The rendezvous of this process in a run on `hardware`.

    With several nodes, it comes from SLURM, with one task per node: the ranks connect to the first host, at a port
    derived from the job id, so that two jobs on one host do not collide.

    Raises:
        RequestError: the run needs several nodes, and this is not a SLURM job with that many.
    """
    nodes = hardware.nodes
    if nodes == 1:
        return Rendezvous(1, 0, "127.0.0.1", 0)
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS")
    if tasks is None:
        raise RequestError(
            f"hardware.nodes={nodes} cannot be started from one machine; submit it with -m hydra/launcher=slurm, or "
            "use hardware.nodes=1"
        )
    if int(tasks) != nodes:
        raise RequestError(
            f"hardware.nodes={nodes} in a SLURM step of {tasks} tasks; use srun --kill-on-bad-exit=1 --ntasks={nodes} "
            "--ntasks-per-node=1"
        )
    return Rendezvous(nodes, own_node(hardware), _first_host(), _job_port())


def own_node(hardware: HardwareConfig) -> int:
    """Number of this node among those of a run on `hardware`; 0 outside of SLURM."""
    return int(os.environ.get("SLURM_NODEID", "0")) if hardware.nodes > 1 else 0


def _first_host() -> str:
    # Imported late: it takes a third of a second, which runs on one node need not pay.
    from submitit.slurm.slurm import SlurmJobEnvironment

    return str(SlurmJobEnvironment().hostnames[0])


def _job_port() -> int:
    return FIRST_PORT + (int(os.environ["SLURM_JOB_ID"]) * 7 + slurm.restarts()) % PORTS


@contextlib.contextmanager
def held_port(place: Rendezvous) -> Generator[int]:
    """The port of a rendezvous; one that was free is given to no other process until the end of the block.

    The first rank listens on it all the same: torch allows it to others (SO_REUSEADDR), and so does this process, which
    does not listen itself.
    """
    if place.port:
        yield place.port
        return
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("", 0))
        yield held.getsockname()[1]
