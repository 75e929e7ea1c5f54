"""The name of the CPU, which Composer notes in checkpoints, is read.

Composer 0.32.1 asks py-cpuinfo, which finds the same name, and for that starts a process that measures the clock for a
second.
"""

from __future__ import annotations

from pathlib import Path


def cpu_model() -> str | None:
    """The name of the CPU in ``/proc/cpuinfo``; None where it has none, as on ARM."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None)


def without_probe() -> None:
    """Have Composer take the name that is read, if there is one."""
    from composer.utils import collect_env

    model = cpu_model()
    if model is not None:
        collect_env.get_cpu_model = lambda: model
