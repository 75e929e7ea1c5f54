"""Build objects from ``_target_`` and settings."""

from __future__ import annotations

import importlib
from typing import Any

from resnet_exp.config.schema import Entries, Entry
from resnet_exp.core.errors import RequestError
from resnet_exp.runs.failure import place_of


def build_named(group: str, entries: Entries) -> list[Any]:
    """Instantiate the entries of an open group, in their order.

    Raises:
        RequestError: an entry's target does not exist or refuses its settings; the message names the entry.
    """
    return [build_entry(f"{group}.{name}", entry) for name, entry in entries.items()]


def build_entry(key: str, entry: Entry, **extra: Any) -> Any:
    """Call the ``_target_`` of one entry with its other keys; `key` names it in errors."""
    settings = {name: value for name, value in entry.items() if name != "_target_"}
    module, _, attribute = entry["_target_"].rpartition(".")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise RequestError(f"{key}._target_={entry['_target_']} cannot be imported ({error})") from error
    try:
        return target(**settings, **extra)
    except (TypeError, ValueError, KeyError) as error:
        if isinstance(error, RequestError):
            raise
        reason = f"KeyError: {error}" if isinstance(error, KeyError) else error
        raise RequestError(f"{key}: {entry['_target_']} refuses its settings ({reason}){place_of(error)}") from error
