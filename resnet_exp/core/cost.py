"""What a run costs: the one place where time becomes money."""

from __future__ import annotations

from typing import Any, Protocol

SECONDS_PER_HOUR = 3600


def cost_usd(result: dict[str, Any]) -> float | None:
    """Training time at the hardware's price of an hour; None without a price."""
    hardware = result["hardware"]
    return _usd(hardware["usd_per_node_hour"], hardware["nodes"], result["timing"]["train_seconds"])


class Priced(Protocol):
    """Nodes, each with a price or without one."""

    nodes: int
    usd_per_node_hour: float | None


def price_usd(hardware: Priced, seconds: float) -> float | None:
    """What `hardware` costs for that long, in dollars; None without a price."""
    return _usd(hardware.usd_per_node_hour, hardware.nodes, seconds)


def _usd(usd_per_node_hour: float | None, nodes: int, seconds: float) -> float | None:
    return None if usd_per_node_hour is None else seconds / SECONDS_PER_HOUR * nodes * usd_per_node_hour
