"""Memory next to pages that can be neither read nor written: what is beyond the memory ends the process."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any, TypeVar

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Memory = TypeVar("Memory")
_LIBRARY = ctypes.CDLL(None, use_errno=True)


class Guarded:
    """Memory of a fixed size, for one content after the other."""

    def __init__(self, size: int) -> None:
        page = mmap.PAGESIZE
        self._room = -(-max(size, 1) // page) * page
        self._pages = mmap.mmap(-1, self._room + 2 * page)
        self._start = ctypes.addressof(ctypes.c_char.from_buffer(self._pages)) + page
        for guard in (self._start - page, self._start + self._room):
            if _LIBRARY.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), mmap.ACCESS_DEFAULT):
                raise OSError(ctypes.get_errno(), "mprotect")

    def hold(self, content: Array, behind: bool) -> Array:
        """A copy of an array, with a guard `behind` it, or else before it."""
        address = self._start + (self._room - content.nbytes if behind else 0)
        copy = np.frombuffer((ctypes.c_uint8 * content.nbytes).from_address(address), content.dtype)  # pyright: ignore
        copy = copy.reshape(content.shape)
        copy[...] = content
        return copy


def guarded(memory: Memory, behind: bool, kept: list[Guarded]) -> Memory:
    """The same arrays, or tuples of arrays, each with a guard of its own; `kept` must live as long as they do."""
    if isinstance(memory, np.ndarray):
        kept.append(Guarded(memory.nbytes))
        return kept[-1].hold(memory, behind)  # pyright: ignore[reportReturnType]
    if isinstance(memory, tuple):
        return type(memory)(*(guarded(each, behind, kept) for each in memory))  # pyright: ignore
    return memory
