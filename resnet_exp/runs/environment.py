"""The environment of a run: ``environment.json``. Standard library and psutil, until a worker adds versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from dataclasses import asdict, dataclass, replace
from functools import partial

import psutil

from resnet_exp.core import files
from resnet_exp.core.machine.devices import usable_cpus, visible_gpus
from resnet_exp.core.records import Number, from_json, read_record
from resnet_exp.core.version import __version__
from resnet_exp.runs.command import Command, Git, this_command
from resnet_exp.runs.folder import RunFolder

PACKAGES = ("torch", "torchvision", "mosaicml", "ffcv", "hydra-core", "omegaconf", "numpy", "numba", "pillow")
SLURM = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_NODELIST", "SLURM_RESTART_COUNT")


@dataclass(frozen=True)
class Environment:
    """The environment of a run; None where a value was not recorded or does not apply.

    Attributes:
        time: start of the last attempt; all attributes are those of the last attempt unless they say otherwise.
        command: words of the command line.
        packages: version of each of `PACKAGES`, None if it is not installed.
        version: of this package.
        git: code of the last attempt.
        cpus: cores that the process may use.
        slurm: the variables of `SLURM` that are set.
        commits: of the attempts that the last one resumed from, and its own.
        dirty: one of these had uncommitted changes.
        torch_threads: from rank 0, as the versions of CUDA, cuDNN and driver, and the GPU's name.
        submitted: the command that submitted the run, if it was submitted.
        data: the converted images that it trains on; see `resnet_exp.data.formats`.
    """

    time: str | None = None
    command: tuple[str, ...] | None = None
    host: str | None = None
    platform: str | None = None
    python: str | None = None
    packages: dict[str, str | None] | None = None
    version: str | None = None
    git: Git | None = None
    cpus: int | None = None
    memory_gib: Number | None = None
    gpus: tuple[str, ...] | None = None
    slurm: dict[str, str] | None = None
    commits: tuple[str, ...] = ()
    dirty: bool = False
    torch_threads: int | None = None
    cuda: str | None = None
    cudnn: int | None = None
    device: str | None = None
    driver: str | None = None
    submitted: Command | None = None
    data: dict[str, object] | None = None


def read_environment(run: RunFolder) -> Environment:
    """The environment of a run, as far as its folder records it.

    Raises:
        RequestError: the file is damaged.
    """
    return read_record(run.environment, partial(from_json, Environment)) or Environment()


def write_environment(run: RunFolder, environment: Environment) -> None:
    """Write ``environment.json``."""
    files.write_json(run.environment, environment_json(environment))


def environment_json(environment: Environment) -> dict[str, object]:
    """The environment of a run as a JSON object, without unknown values."""
    known = {name: value for name, value in asdict(environment).items() if value is not None}
    return {"schema": files.SCHEMA, **known}


def describe(run: RunFolder) -> None:
    """Record the environment of a new attempt; the commits of the attempts that it resumes from are kept."""
    now, before = this_environment(), read_environment(run)
    commits, dirty = (before.commits, before.dirty) if any(run.checkpoints.glob("*.pt")) else ((), False)
    if now.git is not None:
        commits, dirty = tuple(dict.fromkeys((*commits, now.git.commit))), dirty or now.git.dirty
    write_environment(run, replace(now, commits=commits, dirty=dirty, submitted=before.submitted))


def this_environment() -> Environment:
    """Command, host and versions, without those that need torch."""
    this = this_command()
    return Environment(
        time=this.time,
        command=this.command,
        host=this.host,
        platform=platform.platform(),
        python=platform.python_version(),
        packages={name: _version(name) for name in PACKAGES},
        version=__version__,
        git=this.git,
        cpus=usable_cpus(),
        memory_gib=psutil.virtual_memory().total / 2**30,
        gpus=tuple(gpu.name for gpu in visible_gpus()),
        slurm={name: os.environ[name] for name in SLURM if name in os.environ},
    )


def process_seconds() -> float:
    """Seconds since this process started."""
    return time.time() - psutil.Process().create_time()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
