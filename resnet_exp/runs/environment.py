"""With what a run was made: ``environment.json``. Standard library and psutil until a worker adds its versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from dataclasses import asdict, dataclass, replace
from functools import partial

import psutil

from resnet_exp.core import files
from resnet_exp.core.devices import usable_cpus, visible_gpus
from resnet_exp.core.records import Number, from_json, read_record
from resnet_exp.runs.command import Command, Git, this_command
from resnet_exp.runs.folder import RunFolder

PACKAGES = ("torch", "torchvision", "mosaicml", "ffcv", "hydra-core", "omegaconf", "numpy", "numba", "pillow")
SLURM = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_JOB_NODELIST", "SLURM_RESTART_COUNT")


@dataclass(frozen=True)
class Environment:
    """With what a run was made; None is what nobody has written down, or does not apply.

    Attributes:
        time: of the start of the last try, as `command`, `host`, `git` and all that follow unless they say otherwise.
        command: words of the command line.
        packages: version of each of `PACKAGES`, None of one that is not there.
        git: code of the last try.
        cpus: cores that the process may use.
        slurm: those of `SLURM` that are set.
        commits: of the tries that the last one goes on from, and its own.
        dirty: one of these had changes that no commit has.
        torch_threads: and the versions of CUDA, cuDNN and driver, and the GPU's name: from rank 0.
        submitted: the command that has frozen the run, of one that was submitted.
        data: the converted images that it trains on; see `resnet_exp.data.formats`.
    """

    time: str | None = None
    command: tuple[str, ...] | None = None
    host: str | None = None
    platform: str | None = None
    python: str | None = None
    packages: dict[str, str | None] | None = None
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
    """With what a run was made, as far as its folder says.

    Raises:
        RequestError: the file is damaged.
    """
    return read_record(run.environment, partial(from_json, Environment)) or Environment()


def write_environment(run: RunFolder, environment: Environment) -> None:
    """Write ``environment.json``."""
    files.write_json(run.environment, environment_json(environment))


def environment_json(environment: Environment) -> dict[str, object]:
    """With what a run was made, as a JSON object without what is not known."""
    known = {name: value for name, value in asdict(environment).items() if value is not None}
    return {"schema": files.SCHEMA, **known}


def describe(run: RunFolder) -> None:
    """Write down with what a run is made from here on; the commits of the tries that it goes on from stay."""
    now, before = this_environment(), read_environment(run)
    commits, dirty = (before.commits, before.dirty) if any(run.checkpoints.glob("*.pt")) else ((), False)
    if now.git is not None:
        commits, dirty = tuple(dict.fromkeys((*commits, now.git.commit))), dirty or now.git.dirty
    write_environment(run, replace(now, commits=commits, dirty=dirty, submitted=before.submitted))


def this_environment() -> Environment:
    """Command, host and versions, as a process without torch sees them."""
    this = this_command()
    return Environment(
        time=this.time,
        command=this.command,
        host=this.host,
        platform=platform.platform(),
        python=platform.python_version(),
        packages={name: _version(name) for name in PACKAGES},
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
