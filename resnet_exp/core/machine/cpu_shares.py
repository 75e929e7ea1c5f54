"""Which CPUs each of several ranks or runs of a machine gets: those near its GPU, none of them twice.

Threads that load images for a GPU, and the memory that they fill, then lie on its NUMA node, and several loaders do not
take each other's cores. NVML says which CPUs are near; what limits this process, such as a job of SLURM, counts.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from resnet_exp.core.machine import devices
from resnet_exp.core.machine.devices import Gpu
from resnet_exp.core.machine.processes import die_with_parent

Cpus = frozenset[int]

# In the environment of a rank whose CPUs are its own: it does not divide them again.
OWN = "RESNET_EXP_OWN_CPUS"
TOPOLOGY = Path("/sys/devices/system/cpu")


def cpus_of_rank(ranks: int) -> int:
    """CPUs for the loader of one of `ranks` ranks of a node: in the rank itself, or seen by what starts it."""
    usable = devices.usable_cpus()
    return usable if OWN in os.environ else max(1, usable // ranks)


def shares_of(gpus: Sequence[Gpu]) -> list[Cpus]:
    """The CPUs of the ranks or runs that use these GPUs, one each; empty if there are too few to share."""
    return share_out([gpu.cpus for gpu in gpus], frozenset(os.sched_getaffinity(0)))


def share_out(near: Sequence[Cpus], usable: Cpus) -> list[Cpus]:
    """Divide all `usable` CPUs among ranks, in whole cores.

    CPUs near GPUs go to the ranks of these GPUs, others to all alike. If that left a rank with less than half of an
    equal share, all are divided equally.

    Args:
        near: for each rank the CPUs near its GPU; empty if unknown.
        usable: those that may be used.
    """
    if not near:
        return []
    sets = [cpus & usable for cpus in near]
    groups = {cpus: [rank for rank, own in enumerate(sets) if own == cpus] for cpus in sets if cpus}
    rest = usable.difference(*groups)
    shares = _split(rest, len(near))
    for cpus, ranks in groups.items():
        for rank, part in zip(ranks, _split(cpus, len(ranks)), strict=True):
            shares[rank] |= part
    overlap = sum(map(len, groups)) + len(rest) > len(usable)
    if overlap or 2 * min(map(len, shares)) < len(usable) // len(near):
        shares = _split(usable, len(near))
    return shares if all(shares) else []


def begin_child(parent: int, cpus: Cpus | None) -> None:
    """For `preexec_fn`: the child ends with its `parent`, and runs on these CPUs, None for those of its parent."""
    die_with_parent(signal.SIGTERM, parent)
    if cpus:
        os.sched_setaffinity(0, cpus)


def _split(cpus: Cpus, parts: int) -> list[Cpus]:
    """Neighboring CPUs together, those of one core first."""
    ordered = sorted(cpus, key=lambda cpu: (_core(cpu), cpu))
    bounds = [part * len(ordered) // parts for part in range(parts + 1)]
    return [frozenset(ordered[low:high]) for low, high in itertools.pairwise(bounds)]


def _core(cpu: int) -> int:
    """The first CPU of its core; itself where the kernel does not say."""
    try:
        siblings = (TOPOLOGY / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text()
        return int(siblings.replace("-", ",").split(",")[0])
    except (OSError, ValueError):
        return cpu
