"""How many workers load images, and how much memory they share with their ranks."""

from __future__ import annotations

from resnet_exp.config.schedule import duration
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.machine import devices
from resnet_exp.data import formats

MAX_AUTO_WORKERS = 8  # the recipes' own number per device
LABEL_BYTES = 8


def num_workers(config: RunConfig) -> int:
    """Loader workers of one rank: ``data.num_workers``, or on GPUs the rank's share of this machine's CPUs up to 8.

    On a CPU there are none: they would compete with training for cores.
    """
    asked, hardware = config.data.num_workers, config.hardware
    if asked is not None:
        return asked
    if hardware.device == "cpu":
        return 0
    return min(MAX_AUTO_WORKERS, max(1, devices.usable_cpus() // hardware.ranks_per_node))


def shared_bytes(config: RunConfig) -> int:
    """Bytes of batches in ``/dev/shm`` at most, of all ranks of a node; 0 without worker processes of ours.

    Training and evaluation have theirs in turn, unless evaluations interrupt an epoch.
    """
    workers = num_workers(config)
    if formats.format_of(config.data.loader) is not formats.IMAGE_FOLDER or workers == 0:
        return 0
    sizes = config.resolution
    train, evaluation = (
        images * (3 * side**2 + LABEL_BYTES)
        for images, side in ((config.rank_batch, sizes.train), (config.rank_eval_batch, sizes.eval_crop))
    )
    within_epochs = duration(config.eval_interval, "eval_interval")[1] == "ba"
    batch = train + evaluation if within_epochs else max(train, evaluation)
    return config.hardware.ranks_per_node * (workers * config.data.prefetch_factor + 1) * batch
