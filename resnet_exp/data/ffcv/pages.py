"""Pages of an FFCV file that this process holds in memory while batches need them: ``data.loader.os_cache=false``."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from resnet_exp.core.errors import RunFailed
from resnet_exp.data.kernels.resize import Numbers, Pixels

# Pages that are read at a time; as many as FFCV reads.
READERS = 12


def held_pages(path: Path, page_bytes: int, needed: Sequence[Numbers], lag: int) -> Iterator[Pixels]:
    """Yield the bytes of a file for each batch: pages that it needs are read, those that no batch needs take no memory.

    Args:
        path: the file.
        page_bytes: size of a page; a multiple of that of the system's.
        needed: numbers of the pages that each batch needs.
        lag: when a batch is requested, the one `lag` batches before it is no longer in use.

    Raises:
        RunFailed: the file cannot be read, or is larger than the memory.
    """
    last_use = np.zeros(1 + max(int(pages.max()) for pages in needed), np.int64)
    for number, pages in enumerate(needed):
        last_use[pages] = number
    held = np.zeros(len(last_use), np.bool_)
    try:
        with path.open("rb") as file, ThreadPoolExecutor(READERS) as threads:
            memory = _Memory(file.fileno(), page_bytes)
            for number, pages in enumerate(needed):
                done = needed[number - lag] if number >= lag else pages[:0]
                for page in done[last_use[done] == number - lag]:
                    memory.forget(int(page))
                list(threads.map(memory.read, pages[~held[pages]].tolist()))
                held[pages] = True
                yield memory.bytes
    except OSError as error:
        raise RunFailed(
            f"FFCV file {path} cannot be read into memory ({error.strerror}); set data.loader.os_cache=true"
        ) from error


class _Memory:
    """A file's bytes, each where it is in the file. The system gives memory to those that were read."""

    def __init__(self, file: int, page_bytes: int) -> None:
        """`file` is its descriptor."""
        self._file, self._page_bytes = file, page_bytes
        self._memory = mmap.mmap(-1, os.fstat(file).st_size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.bytes = np.frombuffer(self._memory, np.uint8)

    def read(self, page: int) -> None:
        """Read a page."""
        start = page * self._page_bytes
        part = memoryview(self._memory)[start : start + self._page_bytes]
        if os.preadv(self._file, [part], start) != len(part):
            raise OSError(errno.EIO, "it is cut off")

    def forget(self, page: int) -> None:
        """Give the memory of a page back to the system."""
        self._memory.madvise(mmap.MADV_DONTNEED, page * self._page_bytes, self._page_bytes)
