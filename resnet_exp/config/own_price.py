"""A price that is given by hand is of today, and has no other source: the date of a preset is that of its own price."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from functools import cache
from typing import Any

import yaml

from resnet_exp.config.overrides.no_effect import words_by_key
from resnet_exp.config.schema import HardwareConfig
from resnet_exp.core import paths

BY_HAND = "given by hand"
# Key of a price, and those of its date and source.
PRICES = (
    ("usd_per_node_hour", "price_date", "price_source"),
    ("spot_usd_per_node_hour", "spot_price_date", "spot_price_source"),
)


def mark_own_prices(hardware: HardwareConfig, overrides: Iterable[str]) -> None:
    """Give prices that are not the preset's own the date of today and their true source, unless these are given too.

    Args:
        hardware: of a run; it is changed.
        overrides: of the run. A file can set a price too: it is compared with the preset of that name.
    """
    words, preset = words_by_key(overrides), preset_named(hardware.name)
    for price, date, source in PRICES:
        given = getattr(hardware, price)
        kept = all(getattr(hardware, key) == preset.get(key) for key in (date, source))
        if given is None or not (f"hardware.{price}" in words or (kept and given != preset.get(price))):
            continue
        if f"hardware.{date}" not in words:
            setattr(hardware, date, f"{datetime.date.today().isoformat()}, {BY_HAND}")
        if f"hardware.{source}" not in words:
            setattr(hardware, source, BY_HAND)


@cache
def preset_named(name: str) -> dict[str, Any]:
    """The hardware preset of this package with a name; empty if there is none."""
    file = paths.conf_dir() / "hardware" / f"{name}.yaml"
    return yaml.safe_load(file.read_text()) if file.is_file() else {}


def preset_names() -> list[str]:
    """The names of all hardware presets of this package."""
    return sorted(file.name.removesuffix(".yaml") for file in (paths.conf_dir() / "hardware").glob("*.yaml"))
