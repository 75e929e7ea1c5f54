"""Import Composer in two thirds of the time: without modules that we never use, and without garbage collection.

Importing Composer runs 4,700 modules. Among them are the client of MosaicML's platform, for their own logger, and
SciPy's signal processing, to which torchmetrics adds back a function that SciPy removed. Our training uses none of
them.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Known:
    """What is known about the names in a module that has not been imported."""

    submodules: frozenset[str] = frozenset()  # submodules that can be imported without the rest
    missing: frozenset[str] = frozenset()


# Their importers use them only inside functions, or need only the names listed here.
UNUSED: Mapping[str, Known] = {
    "mcli": Known(),
    "scipy.fft": Known(),
    "scipy.linalg": Known(),
    "scipy.signal": Known(submodules=frozenset({"windows"}), missing=frozenset({"hamming"})),
    "scipy.special": Known(),
}


class StandIn(ModuleType):
    """Replaces a module until it is first used; then imports the module and forwards to it."""

    def __getattr__(self, name: str) -> Any:
        """Look up a name in the module itself, importing it if needed."""
        known = UNUSED[self.__name__]
        if name in known.missing:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self)
        if name in known.submodules:
            return importlib.import_module(f"{self.__name__}.{name}")
        return getattr(_imported(self), name)

    def __dir__(self) -> list[str]:
        """The names of the module itself."""
        return dir(_imported(self))


class Additions(MetaPathFinder):
    """Import hook that copies attributes set on a stand-in to the real module once it is imported."""

    def __init__(self, module: str, additions: dict[str, object]) -> None:
        """`additions`: values by name."""
        self._module, self._additions = module, additions

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of the module, whose loader sets the additions after running it; None for any other module."""
        spec = PathFinder.find_spec(name, path, target) if name == self._module else None
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_add(module: ModuleType) -> None:
                run(module)
                vars(module).update(self._additions)

            spec.loader.exec_module = run_and_add
        return spec


@contextmanager
def without_unused() -> Iterator[None]:
    """In a block, give imports stand-ins for the modules of `UNUSED` that are installed and not imported yet.

    Importers keep the stand-ins they got; after the block, imports get the real modules.
    """
    stand_ins = {name: stand_in for name in UNUSED if name not in sys.modules and (stand_in := _stand_in(name))}
    given = {name: set(vars(stand_in)) for name, stand_in in stand_ins.items()}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            _withdraw(stand_in)
            _add(name, {key: value for key, value in vars(stand_in).items() if key not in given[name]})


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """In a block, collect no garbage; at its end, exclude all existing objects from later collections.

    Modules are never garbage, yet each full collection would traverse all of their objects.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _stand_in(name: str) -> StandIn | None:
    """A stand-in for a module, None if it is not installed."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # its parent package is not installed
        return None
    if spec is None:
        return None
    module = importlib.util.module_from_spec(spec)
    module.__class__ = StandIn
    assert isinstance(module, StandIn)
    return module


def _imported(stand_in: StandIn) -> ModuleType:
    """The module itself."""
    _withdraw(stand_in)
    return importlib.import_module(stand_in.__name__)


def _add(name: str, additions: dict[str, object]) -> None:
    """Set additions on a module, now or once it is imported."""
    if name in sys.modules:
        vars(sys.modules[name]).update(additions)
    elif additions:
        sys.meta_path.insert(0, Additions(name, additions))


def _withdraw(stand_in: StandIn) -> None:
    """From now on, give imports the module itself."""
    name = stand_in.__name__
    if sys.modules.get(name) is stand_in:
        del sys.modules[name]
    package, _, leaf = name.rpartition(".")
    if package and vars(sys.modules[package]).get(leaf) is stand_in:
        delattr(sys.modules[package], leaf)
