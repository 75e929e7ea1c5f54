"""What a run costs: the one place where time becomes money. Standard library only."""

from __future__ import annotations

from typing import Any

SECONDS_PER_HOUR = 3600


def cost_usd(result: dict[str, Any]) -> float | None:
    """Training time at the hardware's price of an hour; None without a price."""
    return price_usd(result["hardware"], result["timing"]["train_seconds"])


def price_usd(hardware: dict[str, Any], seconds: float) -> float | None:
    """What `hardware` costs for that long, in dollars; None without a price."""
    if hardware["usd_per_node_hour"] is None:
        return None
    return seconds / SECONDS_PER_HOUR * hardware["nodes"] * hardware["usd_per_node_hour"]
