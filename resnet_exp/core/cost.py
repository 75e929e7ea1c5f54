"""What a run costs: the one place where time becomes money."""

from __future__ import annotations

from typing import Protocol

SECONDS_PER_HOUR = 3600


class Priced(Protocol):
    """Nodes, each with the price of a day or without one."""

    @property
    def nodes(self) -> int: ...

    @property
    def usd_per_node_hour(self) -> float | None: ...

    @property
    def price_date(self) -> str | None: ...


def cost_usd(seconds: float | None, usd_per_node_hour: float | None, nodes: int = 1) -> float | None:
    """What `nodes` cost for that long, in dollars; None without a time or without a price."""
    if seconds is None or usd_per_node_hour is None:
        return None
    return seconds / SECONDS_PER_HOUR * nodes * usd_per_node_hour
