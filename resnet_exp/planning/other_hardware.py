"""Time and cost of the same runs on every hardware preset that has a price."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from resnet_exp.config import identity
from resnet_exp.config.schema import HardwareConfig, RunConfig, part_config
from resnet_exp.core.cost import cost_usd
from resnet_exp.core.terminal.text import between, dollars, span, text_table
from resnet_exp.planning import training_time
from resnet_exp.planning.training_time import History
from resnet_exp.results import prices

# Most kinds of runs to estimate for each hardware; more would take minutes.
MOST = 100


def other_hardware_lines(configs: Sequence[RunConfig], history: History) -> list[str | tuple[str, str]]:
    """A table by rising cost, and a row that names the hardware on which the time of a run is unknown.

    Empty if the time is unknown on all hardware, or for more than `MOST` kinds of runs.

    Args:
        configs: of the runs, whose times are added.
        history: of finished runs.
    """
    kinds = {identity.group(config): config for config in configs}
    counts = Counter(identity.group(config) for config in configs)
    if not 0 < len(kinds) <= MOST:
        return []
    known, unknown = [], []
    # The plan's own hardware with its own price, which may be given by hand.
    own = {config.hardware.name: config.hardware for config in configs}
    for name, preset in prices.collect_presets().items():
        hardware = _at_price_of(own.get(name), part_config(HardwareConfig, preset))
        if hardware.usd_per_node_hour is None:
            continue
        moved = ((replace(config, hardware=hardware), counts[key]) for key, config in kinds.items())
        found = [(training_time.estimate_time(config, history), count) for config, count in moved]
        times = [(time, count) for time, count in found if time is not None]
        if len(times) < len(found):
            unknown.append(name)
            continue
        low, high = sum(time.low * count for time, count in times), sum(time.high * count for time, count in times)
        known.append((low * hardware.usd_per_node_hour, _cells(hardware, low, high)))
    if not known:
        return []
    rows = [("hardware", "time", "cost", "spot", "price of"), *(cells for _, cells in sorted(known))]
    table = [f"  {line}" for line in text_table(rows)]
    return [*table, *([("unknown", ", ".join(unknown))] if unknown else [])]


def _at_price_of(own: HardwareConfig | None, hardware: HardwareConfig) -> HardwareConfig:
    if own is None:
        return hardware
    return replace(
        hardware,
        usd_per_node_hour=own.usd_per_node_hour,
        price_date=own.price_date,
        spot_usd_per_node_hour=own.spot_usd_per_node_hour,
    )


def _cells(hardware: HardwareConfig, low: float, high: float) -> tuple[str, ...]:
    return (
        hardware.name,
        between(low, high, span),
        _costs(hardware.usd_per_node_hour, low, high),
        _costs(hardware.spot_usd_per_node_hour, low, high),
        hardware.price_date or "",
    )


def _costs(usd_per_hour: float | None, low: float, high: float) -> str:
    if usd_per_hour is None:
        return ""
    return between(cost_usd(low, usd_per_hour), cost_usd(high, usd_per_hour), dollars)
