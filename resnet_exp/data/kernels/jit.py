"""Functions compiled by numba, kept on disk from one run to the next."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.errors import NumbaWarning

Function = TypeVar("Function", bound=Callable[..., Any])


def sources_digest() -> str:
    """Digest of the source files of this package.

    Numba compiles a kernel anew when the file that holds it changes, but not when a file changes that it calls into.
    """
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def inner(function: Function) -> Function:
    """Compile a function that kernels call; without ``fastmath``, so that every machine computes the same bits."""
    return numba.njit(function, nogil=True, error_model="numpy")  # pyright: ignore


def inlined(function: Function) -> Function:
    """The same, inlined into each caller: loops whose length is constant in a call are unrolled."""
    return numba.njit(function, nogil=True, error_model="numpy", forceinline=True)  # pyright: ignore


def kernel(function: Function) -> Function:
    """Compile a function that Python calls, and keep the result on disk for later processes if the disk can be written.

    The function must be a closure over `sources_digest`: numba finds a kept result by the variables of the closure, so
    that one of other sources is not used.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaWarning)
        settings: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
        try:
            return numba.njit(function, cache=True, **settings)  # pyright: ignore
        except RuntimeError:  # neither this folder nor the user's cache is writable
            return numba.njit(function, **settings)  # pyright: ignore
