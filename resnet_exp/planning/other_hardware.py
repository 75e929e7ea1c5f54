"""The same runs on every hardware that has a price: how long, for how much. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from resnet_exp.core.cost import cost_usd
from resnet_exp.core.text import between, dollars, span
from resnet_exp.planning import training_time
from resnet_exp.planning.training_time import Estimate, History
from resnet_exp.results import prices
from resnet_exp.runs import identity

# Kinds of runs that are reckoned for each hardware; of more it would take minutes.
MOST = 100


def other_hardware_lines(configs: Sequence[dict[str, Any]], history: History) -> list[str]:
    """A table by rising cost, and a line that names the hardware on which the time of a run is unknown.

    Empty where that is so on all of it, and for more than `MOST` kinds of runs.

    Args:
        configs: of the runs, whose times add up.
        history: of finished runs.
    """
    kinds = {identity.group(config): config for config in configs}
    counts = Counter(identity.group(config) for config in configs)
    if not 0 < len(kinds) <= MOST:
        return []
    known, unknown = [], []
    for name, preset in prices.collect_presets().items():
        if preset.get("usd_per_node_hour") is None:
            continue
        found = [(_on(preset, config, history), counts[key]) for key, config in kinds.items()]
        times = [(time, count) for time, count in found if time is not None]
        if len(times) < len(found):
            unknown.append(name)
            continue
        low, high = sum(time.low * count for time, count in times), sum(time.high * count for time, count in times)
        known.append((low * preset["usd_per_node_hour"], _cells(preset, low, high)))
    if not known:
        return []
    rows = [("hardware", "time", "cost", "spot", "price of"), *(cells for _, cells in sorted(known))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return [*table, *([f"  unknown: {', '.join(unknown)}"] if unknown else [])]


def _on(preset: dict[str, Any], config: dict[str, Any], history: History) -> Estimate | None:
    hardware = {**dict.fromkeys(config["hardware"]), "nodes": 1, **preset}
    return training_time.estimate_time({**config, "hardware": hardware}, history)


def _cells(preset: dict[str, Any], low: float, high: float) -> tuple[str, ...]:
    spot_price = preset.get("spot_usd_per_node_hour")
    return (
        preset["name"],
        between(low, high, span),
        _costs(preset["usd_per_node_hour"], low, high),
        _costs(spot_price, low, high) if spot_price else "",
        preset["price_date"] or "",
    )


def _costs(usd_per_hour: float, low: float, high: float) -> str:
    cheapest, dearest = cost_usd(low, usd_per_hour), cost_usd(high, usd_per_hour)
    assert cheapest is not None and dearest is not None
    return between(cheapest, dearest, dollars)
