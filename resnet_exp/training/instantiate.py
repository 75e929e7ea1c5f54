"""Build objects from ``_target_`` and settings."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from resnet_exp.config.schema import TARGET, Entries, Entry
from resnet_exp.core.errors import RequestError
from resnet_exp.runs.failure import place_of


def build_named(group: str, entries: Entries, instead: Mapping[str, Callable[..., Any]] | None = None) -> list[Any]:
    """Instantiate the entries of an open group, in their order; `instead` has what is called for some targets.

    Raises:
        RequestError: an entry's target does not exist or refuses its settings; the message names the entry.
    """
    own = instead or {}
    return [build_entry(f"{group}.{name}", entry, own.get(entry[TARGET])) for name, entry in entries.items()]


def build_entry(key: str, entry: Entry, instead: Callable[..., Any] | None = None, /, **extra: Any) -> Any:
    """Call the ``_target_`` of one entry, or `instead`, with its other keys; `key` and the target name it in errors."""
    settings = {name: value for name, value in entry.items() if name != TARGET}
    module, _, attribute = entry[TARGET].rpartition(".")
    try:
        target = instead or getattr(_imported(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        fix = "; start from its folder, or add that to PYTHONPATH" if isinstance(error, ModuleNotFoundError) else ""
        raise RequestError(f"{key}.{TARGET}={entry[TARGET]} cannot be imported ({error}){fix}") from error
    try:
        return target(**settings, **extra)
    except (TypeError, ValueError, KeyError) as error:
        if isinstance(error, RequestError):
            raise
        reason = f"KeyError: {error}" if isinstance(error, KeyError) else error
        raise RequestError(f"{key}: {entry[TARGET]} refuses its settings ({reason}){place_of(error)}") from error


def _imported(module: str) -> ModuleType:
    # `python -m`, which starts runs, looks into the current folder; the program `resnet_exp` does not.
    if "" not in sys.path and (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    return importlib.import_module(module)
