"""A rank that our launcher did not start: by ``composer``, ``torchrun``, or a user with ``RANK=0``."""

from __future__ import annotations

import os
import shlex
import signal
from dataclasses import replace

from resnet_exp.config.schema import HardwareConfig, RunConfig
from resnet_exp.core.errors import EXIT_DONE, RequestError
from resnet_exp.core.machine.processes import die_with_parent
from resnet_exp.core.terminal import console
from resnet_exp.launch import preflight, summary
from resnet_exp.launch.dataset import check_same_data
from resnet_exp.launch.prepare import describe_data, prepare_data
from resnet_exp.runs import checkpoints, environment, folder
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import read_result

SINGLE = {
    "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "NODE_RANK": "0",
    "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500",
}  # fmt: skip
# Torchrun uses other names for these.
SYNONYMS = {"NODE_RANK": "GROUP_RANK"}


def complete_environment() -> None:
    """Set variables that the launcher left out, and exit when it dies: some launchers leave orphaned ranks."""
    if "WORLD_SIZE" in os.environ:
        die_with_parent(signal.SIGTERM, os.getppid())
    for name, value in SINGLE.items():
        os.environ.setdefault(name, os.environ.get(SYNONYMS.get(name, name), value))


def check_world(hardware: HardwareConfig, run: RunFolder) -> None:
    """Check that the number of ranks is the run's; otherwise part of each batch would be lost, or shares too small.

    Raises:
        RequestError: the number differs.
    """
    devices, nodes = hardware.ranks_per_node, hardware.nodes
    world, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if (world, local) != (devices * nodes, devices):
        on_nodes = f" --nnodes {nodes}" if nodes > 1 else ""
        raise RequestError(
            f"WORLD_SIZE={world} (LOCAL_WORLD_SIZE={local}) differs from the {devices * nodes} ranks of this run "
            f"(hardware.devices={hardware.devices}, hardware.nodes={nodes}); use torchrun{on_nodes} "
            f"--nproc-per-node {devices} -m resnet_exp.train {shlex.quote(str(run.path))}, or leave RANK and "
            "WORLD_SIZE out"
        )


def begin(run: RunFolder, config: RunConfig) -> bool:
    """Do what our launcher does before it starts ranks: lock the folder, prepare the data. False: the run is done.

    The folder's lock is held until this process exits.

    Raises:
        RequestError: the run cannot start.
        RunFailed: the data could not be prepared.
    """
    if config.mirror is not None:
        raise RequestError(f"mirror={config.mirror} needs our own launcher; leave RANK and WORLD_SIZE out")
    first, here = os.environ["RANK"] == "0", replace(config, runs_dir=str(run.path.parent), run_id=run.path.name)
    if first:
        check_same_data(here)
    if read_result(run) is not None:
        return False
    checkpoints.check_checkpoint(run)
    if os.environ["LOCAL_RANK"] == "0":
        preflight.check_machine(here)
    if first:
        folder.acquire(run)
        run.failure.unlink(missing_ok=True)
        environment.describe(run)
    # Every rank does this: a lock lets the first one write, and the others wait.
    prepare_data(config)
    if first:
        describe_data(run, config)
    return True


def show(run: RunFolder, code: int) -> None:
    """Print on rank 0 what our own launcher prints at the end of a run."""
    result = read_result(run)
    if code == EXIT_DONE and os.environ["RANK"] == "0" and result is not None:
        console.say(summary.table(result, run.path, console.width()))
