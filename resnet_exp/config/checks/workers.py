"""How many workers load images, and how much memory they share with their ranks."""

from __future__ import annotations

import shutil
from pathlib import Path

from resnet_exp.config.schedule import duration
from resnet_exp.config.schema import Entry, RunConfig
from resnet_exp.core.machine import cpu_shares, devices
from resnet_exp.core.terminal.text import plural
from resnet_exp.data import formats
from resnet_exp.data.formats import DataFormat
from resnet_exp.data.imagefolder.decoders import COMPILED

# The recipes' own number per device: so many are not given up for want of shared memory, which is an error then.
RECIPE_WORKERS = 8
# Where cores are there. 32 processes that decode with Pillow make 18,000 images a second (docs/performance.md), about
# as many as an H100 may train on at the smallest size (an estimate); more of them take memory, and time at the start.
MOST_WORKERS = 32
LABEL_BYTES = 8
# Fewer cores for each GPU are worth a note: at 4 of them, FFCV files feed an H100 at most sizes.
FEWEST_CORES = 4
# As `DataFormat.images_a_core`, of image files with data.loader.decoder=compiled.
COMPILED_A_CORE = 1900
# Where loader workers put their batches; Docker's default has 64 MB of it.
SHARED = Path("/dev/shm")


def num_workers(config: RunConfig) -> int:
    """Loader workers of one rank: ``data.num_workers``, or on GPUs the rank's share of the CPUs that it may run on.

    The share is at most `MOST_WORKERS`, and as many processes as have room for their batches in `SHARED`. On a CPU
    there are none: they would compete with training for cores.
    """
    asked, hardware = config.data.num_workers, config.hardware
    if asked is not None:
        return asked
    if hardware.device == "cpu":
        return 0
    share = min(MOST_WORKERS, cpu_shares.cpus_of_rank(hardware.ranks_per_node))
    if not formats.has_processes(config.data.loader):
        return share
    batches = free_shared() // (hardware.ranks_per_node * _batch_bytes(config))
    return min(share, max(RECIPE_WORKERS, (batches - 1) // config.data.prefetch_factor))


def core_notes(config: RunConfig) -> list[str]:
    """A warning if this machine has too few cores to feed the GPUs of a run."""
    ranks, cores = config.hardware.ranks_per_node, devices.usable_cpus()
    found = formats.format_of(config.data.loader)
    if config.hardware.device == "cpu" or cores >= FEWEST_CORES * ranks or (found and found.images_a_core is None):
        return []
    speed = (
        f"; one loads about {_images_a_core(found, config.data.loader):,} images/s with data={found.name}"
        if found
        else ""
    )
    faster = ", or use data=ffcv" if found and found is not formats.FFCV else ""
    return [
        f"{plural(cores, 'CPU core')} for {plural(ranks, 'GPU')}{speed}: the GPUs will wait for data; "
        f"ask for {FEWEST_CORES} cores or more for each{faster}"
    ]


def _images_a_core(found: DataFormat, loader: Entry) -> int:
    return COMPILED_A_CORE if loader.get("decoder") == COMPILED else found.images_a_core or 0


def shared_bytes(config: RunConfig) -> int:
    """Bytes of batches in `SHARED` at most, of all ranks of a node; 0 without worker processes of ours."""
    workers = num_workers(config)
    if not formats.has_processes(config.data.loader) or workers == 0:
        return 0
    batches = workers * config.data.prefetch_factor + 1
    return config.hardware.ranks_per_node * batches * _batch_bytes(config)


def free_shared() -> int:
    """Bytes that are free in `SHARED`."""
    return shutil.disk_usage(SHARED).free if SHARED.is_dir() else 0


def _batch_bytes(config: RunConfig) -> int:
    """Of a batch of training or of evaluation, which have theirs in turn, unless evaluations interrupt an epoch."""
    sizes = config.resolution
    train, evaluation = (
        images * (3 * side**2 + LABEL_BYTES)
        for images, side in ((config.rank_batch, sizes.train), (config.rank_eval_batch, sizes.eval_crop))
    )
    within_epochs = duration(config.eval_interval, "eval_interval")[1] == "ba"
    return train + evaluation if within_epochs else max(train, evaluation)
