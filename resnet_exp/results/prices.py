"""Hourly prices of nodes: the dated prices of the hardware presets. No Hydra.

Prices are defined only in the presets in ``conf/hardware``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from resnet_exp.core import paths


@dataclass(frozen=True)
class Price:
    """One hardware preset and the US prices of one of its nodes, in dollars per hour.

    Attributes:
        name: of the preset, such as ``p4d.24xlarge``.
        cloud: aws, gcp, azure, oci, lambda; None for machines that no cloud offers under this name.
        gpu: kind of GPU; None if the preset uses what it finds.
        devices: GPUs of a node; 0 if the preset uses what it finds or has none.
        usd_per_node_hour: on demand; None if there is no price.
        spot_usd_per_node_hour: the same machine, interruptible; None if unknown.
        date: of the on-demand price: a day, or a year if the day is unknown.
        source: of the on-demand price.
        spot_date: day of the spot price, which may differ from `date`.
        spot_source: of the spot price.
    """

    name: str
    cloud: str | None
    gpu: str | None
    devices: int
    usd_per_node_hour: float | None
    spot_usd_per_node_hour: float | None
    date: str | None
    source: str | None
    spot_date: str | None
    spot_source: str | None


def collect_presets() -> dict[str, dict[str, Any]]:
    """Every hardware preset as in its file, by name, sorted by name."""
    found = (yaml.load(path.read_text(), yaml.CSafeLoader) for path in (paths.conf_dir() / "hardware").glob("*.yaml"))
    return {preset["name"]: preset for preset in sorted(found, key=lambda preset: preset["name"])}


def collect_prices() -> dict[str, Price]:
    """Prices of every hardware preset by name, sorted by name."""
    return {
        name: Price(
            name=name,
            cloud=preset.get("cloud"),
            gpu=preset.get("gpu"),
            devices=preset["devices"],
            usd_per_node_hour=preset.get("usd_per_node_hour"),
            spot_usd_per_node_hour=preset.get("spot_usd_per_node_hour"),
            date=preset.get("price_date"),
            source=preset.get("price_source"),
            spot_date=preset.get("spot_price_date"),
            spot_source=preset.get("spot_price_source"),
        )
        for name, preset in collect_presets().items()
    }
