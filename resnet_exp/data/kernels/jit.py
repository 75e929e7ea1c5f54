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
    """Digest of the files of this package, which kernels are made of.

    Numba looks at the one file that a kernel is in, not at those that it calls.
    """
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def inner(function: Function) -> Function:
    """Compile a function that kernels call; strict floats, so that every machine gets the same bits."""
    return numba.njit(function, nogil=True, error_model="numpy")  # pyright: ignore


def inlined(function: Function) -> Function:
    """The same, as a part of each function that calls it: where a call has constants, loops over them are unrolled."""
    return numba.njit(function, nogil=True, error_model="numpy", forceinline=True)  # pyright: ignore


def kernel(function: Function) -> Function:
    """Compile a function that Python calls and keep the result for later runs, where there is a place to keep it.

    It must be a closure over `sources_digest`: numba then finds it again only while the sources are the same.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaWarning)
        settings: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
        try:
            return numba.njit(function, cache=True, **settings)  # pyright: ignore
        except RuntimeError:  # neither this folder nor the user's cache can be written
            return numba.njit(function, **settings)  # pyright: ignore
