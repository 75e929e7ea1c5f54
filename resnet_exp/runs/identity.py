"""A run is its configuration: the run id names everything that can change accuracy or speed, and nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import Any

NOT_OUTCOME = ("run_id", "runs_dir", "sweep", "command", "loggers", "recipe_info")
NOT_OUTCOME_IN = {
    "hardware": (
        *("cloud", "usd_per_node_hour", "price_date", "price_source"),
        *("spot_usd_per_node_hour", "spot_price_date", "spot_price_source", "memory_gib", "gpu"),
    ),
    "data": ("cache_dir",),
    "dataset": ("title", "min_images_per_class"),
}
# These two name themselves; of any other dataset only the folder says which images it is.
NAMED_DATASETS = ("digits", "imagenet")


def outcome(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a resolved configuration that can change accuracy or speed."""
    kept = {key: value for key, value in config.items() if key not in NOT_OUTCOME}
    for group, keys in NOT_OUTCOME_IN.items():
        kept[group] = {key: value for key, value in config[group].items() if key not in keys}
    if kept["data"].get("decode") == "full":
        del kept["data"]["decode"]  # runs from before there was a choice keep their names
    if config["dataset"]["name"] in NAMED_DATASETS:
        del kept["dataset"]["dir"]
    return kept


def digest(config: dict[str, Any]) -> str:
    """First 8 hex digits of the hash of `outcome`."""
    return _hash(outcome(config))


def group(config: dict[str, Any]) -> str:
    """The same 8 hex digits for runs that differ in nothing but the seed, as far as `outcome` goes."""
    return _hash({key: value for key, value in outcome(config).items() if key != "seed"})


def family(config: dict[str, Any]) -> str:
    """The same for runs that differ in nothing but seed and length."""
    return _hash({key: value for key, value in outcome(config).items() if key not in ("seed", "ssr")})


def _hash(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


def run_id(config: dict[str, Any]) -> str:
    """``{recipe}-ssr{ssr}-{hardware}-s{seed}-{digest}`` of a resolved configuration."""
    hardware = config["hardware"]["name"]
    return f"{config['recipe']}-ssr{config['ssr']}-{hardware}-s{config['seed']}-{digest(config)}"
