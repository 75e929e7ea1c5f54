"""A run is its configuration: the run id names everything that can change accuracy or speed, and nothing else.

The id depends neither on where code lies nor on keys that a later version adds:

- A key of the schema, or of a data format's loader, counts where it differs from its default, and always if it has
  none. So a new key needs a default that leaves existing runs unchanged, and a default never changes.
- An entry (an algorithm, a callback, the loader) counts by its name, its settings and its ``_target_``. For resnet_exp
  and Composer, only package and name of the target count, not the modules between them: ``composer.MixUp``. Of a
  user's own code the content counts too (`resnet_exp.config.checks.import_check.code_digest`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from functools import cache
from typing import Any, cast

from resnet_exp.config.checks.import_check import code_digest
from resnet_exp.config.schema import NAMED_DATASETS, TARGET, Entry, RunConfig
from resnet_exp.core.records import is_object
from resnet_exp.data import formats

NOT_OUTCOME = frozenset(
    (
        *("run_id", "runs_dir", "mirror", "sweep", "command", "loggers", "recipe_info"),
        *("init_from", "keep_checkpoints"),
        *("hardware.cloud", "hardware.usd_per_node_hour", "hardware.price_date", "hardware.price_source"),
        *("hardware.spot_usd_per_node_hour", "hardware.spot_price_date", "hardware.spot_price_source"),
        *("hardware.memory_gib", "hardware.gpu", "hardware.check_memory"),
        *("data.cache_dir", "dataset.title", "dataset.min_images_per_class"),
        # What follows from them counts.
        *("dataset.fit", "dataset.train_images", "dataset.image_side", "dataset.fitted"),
    )
)
# Packages whose classes are identified without their modules.
OWN_NAMES = ("resnet_exp", "composer")
# Under this name the code of a user's class counts, beside its settings.
CODE = "_code_"


def outcome(config: RunConfig) -> dict[str, object]:
    """The part of a resolved configuration that can change accuracy or speed, as nested mappings."""
    named = ("dataset.dir",) if config.dataset.name in NAMED_DATASETS else ()
    data = replace(config.data, loader=_loader(config.data.loader))
    return _counted(replace(config, data=data), NOT_OUTCOME.union(named), "")


def _loader(loader: Entry) -> Entry:
    """``data.loader`` without the settings that are their format's defaults."""
    found = formats.format_of(loader)
    defaults = {} if found is None or found.files is None else dict(_defaults(found.files))
    return {name: value for name, value in loader.items() if name not in defaults or value != defaults[name]}


def _counted(part: object, left_out: Collection[str], prefix: str) -> dict[str, object]:
    """The values of a dataclass that count; `left_out` has dotted keys, whose prefix here is `prefix`."""
    return {
        name: _plain(value, left_out, f"{prefix}{name}.")
        for name, default in _defaults(type(part))
        if f"{prefix}{name}" not in left_out and (value := getattr(part, name)) != default
    }


@cache
def _defaults(kind: type[Any]) -> list[tuple[str, object]]:
    return [(each.name, _default(each)) for each in fields(kind)]


def _default(each: Field[Any]) -> object:
    return each.default if each.default_factory is MISSING else each.default_factory()


def _plain(value: object, left_out: Collection[str], prefix: str) -> object:
    if is_dataclass(value):
        return _counted(value, left_out, prefix)
    if isinstance(value, dict):
        return _entry(cast(Entry, value))
    return value


def _entry(entry: Entry) -> Entry:
    counted = {name: _name(value) if name == TARGET else _plain(value, (), "") for name, value in entry.items()}
    target = entry.get(TARGET, "")
    code = None if target.partition(".")[0] in OWN_NAMES else code_digest(target)
    return counted if code is None else {**counted, CODE: code}


def _name(target: str) -> str:
    """The name in a ``_target_``, without the modules in between where those do not count."""
    package, _, rest = target.partition(".")
    return f"{package}.{rest.rpartition('.')[2]}" if package in OWN_NAMES else target


def digest(config: RunConfig) -> str:
    """First 8 hex digits of the hash of `outcome`."""
    return _hash(outcome(config))


def group(config: RunConfig) -> str:
    """8 hex digits shared by all runs whose `outcome` differs only in the seed."""
    return _hash(outcome(config), without=("seed",))


def family(config: RunConfig) -> str:
    """8 hex digits shared by all runs whose `outcome` differs only in seed and length, and what follows from these."""
    counted = outcome(config)
    for key, recipes in config.dataset.fitted.items():
        *parents, name = key.split(".")
        part = counted
        for parent in parents:
            inner = part[parent]
            assert is_object(inner)
            part = inner
        part[name] = recipes
    return _hash(counted, without=("seed", "ssr"))


def _hash(counted: Mapping[str, object], without: Collection[str] = ()) -> str:
    kept = {name: value for name, value in counted.items() if name not in without}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8]


def run_id(config: RunConfig) -> str:
    """``{recipe}-ssr{ssr}-{hardware}-s{seed}-{digest}`` of a resolved configuration."""
    return f"{config.recipe}-ssr{config.ssr}-{config.hardware.name}-s{config.seed}-{digest(config)}"
