"""One Hydra composition, resolved once for all runs that differ only in values that nothing else depends on.

OmegaConf takes several milliseconds to copy and resolve a configuration, and a sweep has thousands of runs that differ
only in the seed. No declaration says which keys others depend on: interpolations, resolvers and `finalize.fill_in`
may read any key. So `_observe` records which keys are read.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from resnet_exp.config import hydra_versions
from resnet_exp.config.finalize import fill_in
from resnet_exp.config.schema import PlainValues
from resnet_exp.core.errors import RequestError
from resnet_exp.core.records import is_object

# Name of a resolver that reports which keys are read.
OBSERVED = "resnet_exp_observed"
Values = Mapping[str, object]


class Composition:
    """A composed configuration, on which each run sets its own values."""

    def __init__(self, closed: DictConfig, remote: bool) -> None:
        """`closed`: from `resnet_exp.config.finalize.close`; `remote`: see `resnet_exp.sweep.compose.RunComposer`."""
        self._closed, self._remote = closed, remote
        self.dataset, self.device = closed.dataset.name, closed.hardware.device
        self._scratch = copy.deepcopy(closed)
        self._converted: dict[str | None, Any] = {}
        # For each set of keys that runs set: which of them are read, for each combination of cases.
        self._reads: dict[frozenset[str], set[frozenset[str]]] = {}
        self._resolved: dict[object, PlainValues] = {}

    def can_set(self, override: Override) -> bool:
        """Whether an override replaces one value by another, and no mapping or list."""
        node = OmegaConf.select(self._closed, override.key_or_group, default=self._closed)
        return not OmegaConf.is_config(node) and not isinstance(override.value(), (dict, list))

    def resolve(self, overrides: Sequence[Override]) -> PlainValues:
        """The configuration with these values, as from `resnet_exp.config.finalize.fill_in`.

        Raises:
            RequestError: a value is missing or wrong.
            OmegaConfBaseException: a value has the wrong type.
        """
        if any(_refers(override.value()) for override in overrides):
            return self._fill_in({override.key_or_group: override.value() for override in overrides})
        values = {override.key_or_group: self._convert(override) for override in overrides}
        keys = frozenset(values)
        for read in self._reads.get(keys, ()):
            if (known := self._resolved.get(_case(values, read))) is not None:
                break
        else:
            known, read = self._observe(values)
            self._reads.setdefault(keys, set()).add(read)
            self._resolved[_case(values, read)] = known
        resolved = copy.deepcopy(known)
        for key in keys - read:
            parent, name = _place(resolved, key)
            parent[name] = values[key]
        return resolved

    def _convert(self, override: Override) -> Any:
        """The value of an override, converted to its key's type."""
        line = override.input_line
        if line not in self._converted:
            OmegaConf.update(self._scratch, override.key_or_group, override.value())
            self._converted[line] = OmegaConf.select(self._scratch, override.key_or_group)
        return self._converted[line]

    def _observe(self, values: Values) -> tuple[PlainValues, frozenset[str]]:
        """Resolve the configuration, and return the keys that anything but themselves reads.

        Resolution depends only on what it reads, so it is the same for all runs with the same values of these keys.
        """
        counts: Counter[str] = Counter()
        keys = list(values)

        def read(number: int) -> Any:
            counts[keys[number]] += 1
            return values[keys[number]]

        closed = copy.deepcopy(self._closed)
        hydra_versions.register_resolver(OBSERVED, read)
        try:
            resolved = self._fill_in({key: f"${{{OBSERVED}:{number}}}" for number, key in enumerate(keys)}, closed)
        except (OmegaConfBaseException, RequestError):
            # Resolve again, for an error message that does not mention the resolver.
            return self._fill_in(values), frozenset(keys)
        finally:
            OmegaConf.clear_resolver(OBSERVED)
        # One read is the key's own resolution.
        alone = {key for key in keys if counts[key] == 1 and _is_observed(closed, resolved, key)}
        return resolved, frozenset(keys) - alone

    def _fill_in(self, values: Values, closed: DictConfig | None = None) -> PlainValues:
        closed = copy.deepcopy(self._closed) if closed is None else closed
        for key, value in values.items():
            OmegaConf.update(closed, key, value)
        if self._remote and closed.hardware.device == "auto":
            raise RequestError(
                f"hardware={closed.hardware.name} is not known before the job runs; name it, such as hardware=a100x8"
            )
        return fill_in(closed)


def _refers(value: object) -> bool:
    """Whether a value is an interpolation, or missing."""
    return isinstance(value, str) and ("${" in value or value == "???")


def _case(values: Values, read: Iterable[str]) -> object:
    # With the type, since True and 1.0 equal 1.
    return frozenset(values), frozenset((key, repr(values[key])) for key in read)


def _place(config: PlainValues, key: str) -> tuple[PlainValues, str]:
    """The mapping that holds `key`; raises `KeyError` if there is none, or a list holds it."""
    *parents, name = key.split(".")
    for parent in parents:
        inner = config[parent]
        if not is_object(inner):
            raise KeyError(key)
        config = inner
    if name not in config:
        raise KeyError(key)
    return config, name


def _is_observed(closed: DictConfig, resolved: PlainValues, key: str) -> bool:
    """Whether `_place` finds `key`, and it still has the value it was set to."""
    try:
        _place(resolved, key)
    except KeyError:
        return False
    parent, _, name = key.rpartition(".")
    return OmegaConf.is_interpolation(OmegaConf.select(closed, parent) if parent else closed, name)
