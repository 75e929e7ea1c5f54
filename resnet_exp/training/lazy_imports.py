"""Import Composer in two thirds of the time: without what it imports for others, and without collecting garbage.

Importing Composer runs 4,700 modules. Among them are the client of MosaicML's platform, for a logger of theirs, and the
signal processing of SciPy, to which torchmetrics adds a function that SciPy has removed. No training of ours uses them.
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
    """What is known of the names of a module that has not run."""

    submodules: frozenset[str] = frozenset()  # which can be imported without the rest
    missing: frozenset[str] = frozenset()


# Their importers use them inside of functions only, or ask for no more than what is known here.
UNUSED: Mapping[str, Known] = {
    "mcli": Known(),
    "scipy.fft": Known(),
    "scipy.linalg": Known(),
    "scipy.signal": Known(submodules=frozenset({"windows"}), missing=frozenset({"hamming"})),
    "scipy.special": Known(),
}


class StandIn(ModuleType):
    """Takes the place of a module until it is used: then the module is imported, and answers from there on."""

    def __getattr__(self, name: str) -> Any:
        """What the module itself has under a name, which importing a stand-in has not set."""
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
    """Sets on a module, once it is imported, what others have set on its stand-in."""

    def __init__(self, module: str, additions: dict[str, Any]) -> None:
        """`additions`: values by name."""
        self._module, self._additions = module, additions

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module as Python finds it, which sets the additions when it has run; None for any other."""
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
    """Let imports get stand-ins for the modules of `UNUSED`, unless they are not installed or imported already.

    Who has got one keeps it; afterward nobody gets one any more.
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
    """Collect no garbage, and leave all objects that there are at the end out of later collections.

    Modules are no garbage, yet each full collection would look at every object of theirs.
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
    except ModuleNotFoundError:  # nor is the package that it would be a part of
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


def _add(name: str, additions: dict[str, Any]) -> None:
    """Set additions on a module, now or once it is imported."""
    if name in sys.modules:
        vars(sys.modules[name]).update(additions)
    elif additions:
        sys.meta_path.insert(0, Additions(name, additions))


def _withdraw(stand_in: StandIn) -> None:
    """Let imports get the module itself from now on."""
    name = stand_in.__name__
    if sys.modules.get(name) is stand_in:
        del sys.modules[name]
    package, _, leaf = name.rpartition(".")
    if package and vars(sys.modules[package]).get(leaf) is stand_in:
        delattr(sys.modules[package], leaf)
