"""The shards of a split on this node: missing ones are fetched, each of them once per node."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from resnet_exp.core.errors import RunFailed
from resnet_exp.core.files import move_into_place
from resnet_exp.core.locks import held_lock, open_lock
from resnet_exp.core.object_store import Remote
from resnet_exp.data.streaming import mds

# Shards that a process fetches at a time: one connection to an object store does not use the whole bandwidth.
AT_ONCE = 8
# A copy that arrives damaged is asked for again.
TRIES = 3


class ShardStore:
    """Shards in `folder`, by number; missing ones are copied from `remote` when they are needed."""

    def __init__(self, folder: Path, index: mds.Index, remote: Remote | None, split: str) -> None:
        """`split` is the name of the folder at the remote."""
        self.folder, self.index, self._remote, self._split = folder, index, remote, split
        self._here: set[int] = set()

    def path(self, number: int) -> Path:
        """Where a shard is, or will be."""
        return self.folder / self.index.shards[number].name

    def ensure(self, numbers: Iterable[int]) -> None:
        """Make sure that these shards are in the folder.

        Raises:
            RunFailed: one cannot be fetched.
        """
        missing = [number for number in numbers if number not in self._here]
        if absent := [number for number in missing if not self.path(number).is_file()]:
            with ThreadPoolExecutor(AT_ONCE) as threads:
                list(threads.map(self._fetch, absent))
        self._here.update(missing)

    def _fetch(self, number: int) -> None:
        path = self.path(number)
        if self._remote is None:
            raise RunFailed(f"MDS shard {path} is gone; convert the dataset again")
        try:
            lock = path.with_name(f".{path.name}.lock")
            with held_lock(open_lock(lock)):
                if not path.is_file():
                    self._copy(self._remote, number, path)
                lock.unlink(missing_ok=True)
        except OSError as error:
            raise RunFailed(f"MDS shard {path} cannot be written ({error.strerror}); free some space") from error

    def _copy(self, remote: Remote, number: int, path: Path) -> None:
        shard = self.index.shards[number]
        unfinished = path.with_name(f".{path.name}.partial")
        fault = None
        try:
            for _ in range(TRIES):
                remote.get(f"{self._split}/{shard.name}", unfinished)
                if (fault := mds.fault(unfinished, shard)) is None:
                    move_into_place(unfinished, path)
                    return
        finally:
            unfinished.unlink(missing_ok=True)
        raise RunFailed(f"{remote.url}/{self._split}/{shard.name} {fault}; convert the dataset again")
