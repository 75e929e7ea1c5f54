"""The same run on every hardware that has a price: how long, for how much. No torch."""

from __future__ import annotations

from typing import Any

from resnet_exp import estimate, prices, summary
from resnet_exp.console import span
from resnet_exp.estimate import History, between
from resnet_exp.plan_sweep import dollars


def lines(config: dict[str, Any], history: History) -> list[str]:
    """A table by rising cost, and one line that names the hardware whose speed is unknown; empty if all is."""
    known, unknown = [], []
    for name, preset in prices.collect_presets().items():
        if preset.get("usd_per_node_hour") is None:
            continue
        hardware = {**dict.fromkeys(config["hardware"]), "nodes": 1, **preset}
        found = estimate.estimate({**config, "hardware": hardware}, history)
        if found is None:
            unknown.append(name)
        else:
            known.append((_usd(hardware, found.low), _cells(name, hardware, found)))
    if not known:
        return []
    rows = [("hardware", "time", "cost", "spot", "price of"), *(cells for _, cells in sorted(known))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return [*table, *([f"  unknown: {', '.join(unknown)}"] if unknown else [])]


def _usd(hardware: dict[str, Any], seconds: float) -> float:
    return summary.price(hardware, seconds) or 0.0


def _cells(name: str, hardware: dict[str, Any], found: estimate.Estimate) -> tuple[str, ...]:
    spot_price = hardware.get("spot_usd_per_node_hour")
    return (
        name,
        between(found.low, found.high, span),
        _costs(hardware, found),
        _costs({**hardware, "usd_per_node_hour": spot_price}, found) if spot_price else "",
        hardware["price_date"] or "",
    )


def _costs(hardware: dict[str, Any], found: estimate.Estimate) -> str:
    return between(_usd(hardware, found.low), _usd(hardware, found.high), dollars)
