"""Functions compiled by numba, kept on disk from one run to the next."""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator
from numba.core.errors import NumbaWarning

from resnet_exp.core.locks import held_lock, open_lock
from resnet_exp.core.terminal import console

Function = TypeVar("Function", bound=Callable[..., Any])


@cache
def _say_not_kept(why: str) -> None:
    """Once in a process. Of several ranks only the first one talks to the user."""
    console.say(
        f"compiled code cannot be kept ({why}): every start compiles it anew, for about a minute; set "
        "NUMBA_CACHE_DIR=PATH to a folder that can be written"
    )


class _CompiledAhead(UserProvidedCacheLocator):
    """``NUMBA_CACHE_DIR`` where it cannot be written: of a container's image, or of an installation for many users.

    That of numba 0.68.1 must be written.
    """

    def ensure_cache_path(self) -> None:
        """Raises `OSError` where nothing was compiled for the function's file."""
        os.listdir(self.get_cache_path())


class _Places(CompileResultCacheImpl):
    """Where numba 0.68.1 keeps compiled code, in the order of preference, and where it does not."""

    _first, *_others = CompileResultCacheImpl._locator_classes
    _locator_classes = (_first, _CompiledAhead, *_others)


class KernelCache(FunctionCache):
    """Numba's cache of a function on disk, which lets one process at a time compile; the others wait and load.

    With that of numba 0.68.1, all processes of a machine compile at once; a damaged file or a full disk is an error,
    and a folder that cannot be written is not read.
    """

    _impl_class = _Places

    def __init__(self, function: Callable[..., Any]) -> None:
        """Raises `RuntimeError` where no folder of numba's can be written."""
        super().__init__(function)
        self._compiling = contextlib.ExitStack()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Compiled code that is kept, else None: then this process has the lock until it is compiled and saved."""
        if (found := self._load(sig, target_context)) is not None:
            return found
        console.status("starting: compiling the loader's code, once on this machine")
        # A file system without locks: each process compiles.
        with contextlib.suppress(OSError):
            lock = open_lock(Path(self.cache_path) / f".{self._impl.filename_base}.lock")
            self._compiling.enter_context(held_lock(lock))
        if (found := self._load(sig, target_context)) is not None:
            self._compiling.close()
        return found

    def _load(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # what a crash or a full disk has left cannot be unpickled, whose errors are of any kind
            with contextlib.suppress(OSError):
                self.flush()
            return None

    def watch(self, compiler: Any) -> None:
        """Give the lock back when a function's `compiler` fails, after which numba does not call `save_overload`."""
        compile_now = compiler.compile

        def compile_or_release(args: Any, return_type: Any) -> Any:
            try:
                return compile_now(args, return_type)
            except BaseException:
                self._compiling.close()
                raise

        compiler.compile = compile_or_release

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep compiled code, if that is possible."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _say_not_kept(f"{self.cache_path}: {error.strerror}")
        finally:
            self._compiling.close()


def sources_digest() -> str:
    """Digest of the source files of this package.

    Numba compiles a kernel anew when the file that holds it changes, but not when a file changes that it calls into.
    """
    files = sorted(Path(__file__).parent.rglob("*.py"))
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
    that one of other sources is not used. ``cache=True`` of numba 0.68.1 would make a `FunctionCache`, not ours.
    """
    compiled: Any = inner(function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaWarning)
        try:
            compiled._cache = KernelCache(function)
            compiled._cache.watch(compiled._compiler)
        except RuntimeError:  # numba's words name a function, not the folders
            _say_not_kept(f"neither {Path(__file__).parent} nor ~/.cache can be written")
    return compiled
