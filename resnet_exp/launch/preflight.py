"""What a run needs of its machine: checked by each run before it starts, and shown by ``resnet_exp.doctor``."""

from __future__ import annotations

import math
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from resnet_exp.config import disk_usage
from resnet_exp.config.checks import gpu_support, validate, workers
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine import devices, torch_build
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.finding import Finding
from resnet_exp.core.terminal.text import byte_size, plural, printable
from resnet_exp.launch import summary
from resnet_exp.launch.mirroring import check_mirror

# Size of /dev/shm that NVIDIA's troubleshooting guide of NCCL gives containers.
NCCL_BYTES = 2**30
# The default of most systems. Loader workers, sockets of the ranks and log files each take some.
FEWEST_FILES = 1024

Findings = Iterator[Finding]
Check = Callable[[RunConfig], Findings]


def check_machine(config: RunConfig) -> None:
    """Make all of `CHECKS`, and print what is worth a note.

    Raises:
        RequestError: the run would not start, or not end.
    """
    for _, check, _ in CHECKS:
        for finding in check(config):
            if finding.state == "note":
                console.say(f"note: {finding.found}; {finding.fix}")


def nearest_folder(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _devices(config: RunConfig) -> Findings:
    validate.check_devices(config.hardware)
    driver = devices.nvidia_driver() if config.hardware.device == "gpu" else None
    shown = f", driver {driver.version} for CUDA {driver.cuda[0]}.{driver.cuda[1]}" if driver is not None else ""
    yield Finding("devices", "ok", f"{summary.devices(config.hardware)}{shown}")


def _kernels(config: RunConfig) -> Findings:
    if config.hardware.device == "gpu":
        gpu_support.check_kernels(config.hardware, torch_build.kernels)
        yield Finding("kernels", "ok", f"torch {torch_build.installed_torch().version} has kernels for these GPUs")


def _shared_memory(config: RunConfig) -> Findings:
    need, free, shared = workers.shared_bytes(config), workers.free_shared(), workers.SHARED
    if free < need:
        gigabytes = math.ceil(need / 2**30)
        raise RequestError(
            f"{shared} has {byte_size(free)} free, data.num_workers={workers.num_workers(config)} needs up to "
            f"{byte_size(need)}; start the container with --shm-size={gigabytes}g or --ipc=host, or use "
            "data.num_workers=0"
        )
    room = f"{shared} has {byte_size(free)} free"
    if config.hardware.gpus_per_node > 1 and free - need < NCCL_BYTES:
        fix = "start the container with --shm-size=1g or more, or --ipc=host"
        yield Finding("shared memory", "note", f"{room}, through which NCCL connects GPUs", fix)
    else:
        wanted = f"needs up to {byte_size(need)}" if need else "needs none"
        yield Finding("shared memory", "ok", f"{room}, the loader {wanted}")


def _limits(config: RunConfig) -> Findings:
    files, largest, memory, locked = (
        resource.getrlimit(kind)[0]
        for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_AS, resource.RLIMIT_MEMLOCK)
    )
    need, unlimited = disk_usage.checkpoint_bytes(config), resource.RLIM_INFINITY
    if largest != unlimited and largest < need:
        raise RequestError(
            f"ulimit -f allows files of {byte_size(largest)}, a checkpoint has {byte_size(need)}; "
            "run ulimit -f unlimited"
        )
    gpu, notes = config.hardware.device == "gpu", list[Finding]()
    if files != unlimited and files < FEWEST_FILES:
        found = f"ulimit -n allows {plural(files, 'open file')} a process"
        notes.append(Finding("limits", "note", found, f"run ulimit -n {FEWEST_FILES} or more"))
    if gpu and memory != unlimited:
        found = (
            f"ulimit -v allows {byte_size(memory)} of addresses, and CUDA reserves more than the memory that it uses"
        )
        notes.append(Finding("limits", "note", found, "run ulimit -v unlimited"))
    if gpu and config.hardware.nodes > 1 and locked != unlimited:
        found = f"ulimit -l allows {byte_size(locked)} of locked memory, which NCCL needs for InfiniBand"
        notes.append(Finding("limits", "note", found, "run ulimit -l unlimited"))
    yield from notes or [
        Finding("limits", "ok", f"{'any number of' if files == unlimited else format(files, ',')} open files")
    ]


def _room(config: RunConfig) -> Findings:
    folder = config.folder.path
    there = sum(file.lstat().st_size for file in folder.rglob("*")) if folder.is_dir() else 0
    need = max(0, disk_usage.run_bytes(config) - there)
    size, _, free = shutil.disk_usage(nearest_folder(folder))
    if size == 0:  # /proc and some network file systems do not say
        return
    if free < need:
        raise RequestError(
            f"runs_dir={printable(config.runs_dir)} has {byte_size(free)} free, the run needs up to {byte_size(need)}"
            f"{' more' if there else ''}; free some or set runs_dir=PATH"
        )
    yield Finding("room", "ok", f"runs_dir has {byte_size(free)} free, the run needs up to {byte_size(need)}")


def _mirror(config: RunConfig) -> Findings:
    if (mirror := check_mirror(config)) is not None:
        yield Finding("mirror", "ok", f"{mirror} answers")


# What is checked, and whether that is this very machine, rather than a disk that others share. What takes seconds comes
# last.
CHECKS: tuple[tuple[str, Check, bool], ...] = (
    ("devices", _devices, True),
    ("shared memory", _shared_memory, True),
    ("limits", _limits, True),
    ("room", _room, False),
    ("kernels", _kernels, True),
    ("mirror", _mirror, True),
)
