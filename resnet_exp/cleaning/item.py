"""One thing that can be removed, and how it is removed while nobody uses it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from resnet_exp.core.locks import open_lock, try_lock

# Ends the name of what is being removed: of a removal that was cut short, the next one takes the rest.
REMOVED = ".removed"
CHECKPOINTS, CONVERSION, PARTIAL, CACHE = "checkpoints", "conversion", "partial", "cache"
IN_USE = "in use by a process"


@dataclass(frozen=True)
class Item:
    """Something to remove.

    Attributes:
        kind: one of the four above.
        why: nobody needs it.
        paths: files and folders that go together, the first one names it.
        lock: of whoever writes there; it is held during the removal. None for what nobody writes.
    """

    kind: str
    why: str
    paths: tuple[Path, ...]
    lock: Path | None = None

    @property
    def path(self) -> Path:
        """What it is called."""
        return self.paths[0]

    def files(self) -> Iterator[os.stat_result]:
        """The state of each file, without following links."""
        for path in self.paths:
            found = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
            for file in found if path.is_dir() else [path]:
                with contextlib.suppress(OSError):
                    yield file.lstat()

    @property
    def bytes(self) -> int:
        """What it takes on disk."""
        return sum(state.st_blocks * 512 for state in self.files())

    @property
    def last_used(self) -> float:
        """When a file was last written or read, in seconds since 1970; 0 if there is none."""
        return max((max(state.st_mtime, state.st_atime) for state in self.files()), default=0.0)


def remove(item: Item) -> str | None:
    """Remove an item; returns why not, None if it is gone."""
    lock = None
    try:
        if item.lock is not None:
            lock = open_lock(item.lock)
            if not try_lock(lock):
                return IN_USE
        if item.kind != CHECKPOINTS and is_open(item.paths, set(open_files())):
            return IN_USE
        for path in item.paths:
            _remove(path)
        if item.kind == CONVERSION:
            with contextlib.suppress(OSError):
                item.path.parent.rmdir()  # removes the folder only if it is empty
    except OSError as error:
        return error.strerror or str(error)
    finally:
        if lock is not None:
            os.close(lock)
    return None


def _remove(path: Path) -> None:
    """Remove a file or folder at once: what is half removed must not have its name."""
    if path.is_dir() and not path.is_symlink():
        doomed = path if path.name.endswith(REMOVED) else path.rename(path.with_name(f".{path.name}{REMOVED}"))
        shutil.rmtree(doomed)
    else:
        path.unlink(missing_ok=True)


def is_open(paths: Iterable[Path], names: Collection[str]) -> bool:
    """Whether one of these, or something in it, is among the files `names`, which `open_files` has found."""
    folders = tuple(str(path.resolve()) for path in paths)
    return any(name == folder or name.startswith(f"{folder}/") for name in names for folder in folders)


def open_files() -> Iterator[str]:
    """What processes of this machine that we may look at have open or mapped, and the folders that they work in."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for link in (process / "cwd", *(process / "fd").iterdir()):
                with contextlib.suppress(OSError):
                    yield os.readlink(link)
        with contextlib.suppress(OSError):
            for line in (process / "maps").read_text(errors="replace").splitlines():
                if (at := line.find("/")) > 0:
                    yield line[at:]
