"""A disk that reads no faster than given: the kernel's own limit for a group of processes (``blkio``, ``io.max``)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
NAME = f"slow_disk_{os.getpid()}"


@contextmanager
def limited(folder: Path, rate: float | None) -> Iterator[Callable[[int], None]]:
    """Yield what takes the number of a process, which then reads the disk of `folder` at `rate` MB/s; None: no limit.

    Root's only. Ends the program where the kernel or the file system cannot do it.
    """
    if rate is None:
        yield lambda process: None
        return
    group, setting, text = _group(_disk(folder), int(rate * 1e6))
    try:
        group.mkdir()
        (group / setting).write_text(text)
    except OSError as error:
        sys.exit(f"the disk of {folder} cannot be limited ({error}); it needs root, and blkio or io in {CGROUPS}")
    try:
        yield lambda process: _join(group, process)
    finally:
        group.rmdir()


def _join(group: Path, process: int) -> None:
    (group / "cgroup.procs").write_text(str(process))


def _disk(folder: Path) -> str:
    """Numbers of the whole disk that a folder is on, as the kernel writes them."""
    device = os.stat(folder).st_dev
    node = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    if not node.is_dir():
        sys.exit(f"{folder} is not on a disk of this machine; set TMPDIR to a folder that is")
    return ((node.parent if (node / "partition").exists() else node) / "dev").read_text().strip()


def _group(disk: str, rate: int) -> tuple[Path, str, str]:
    if (CGROUPS / "blkio").is_dir():
        return CGROUPS / "blkio" / NAME, "blkio.throttle.read_bps_device", f"{disk} {rate}"
    (CGROUPS / "cgroup.subtree_control").write_text("+io")
    return CGROUPS / NAME, "io.max", f"{disk} rbps={rate}"
