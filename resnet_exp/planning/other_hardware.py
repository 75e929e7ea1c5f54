"""Time and cost of the same runs on every hardware preset that has a price."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from resnet_exp.config import identity
from resnet_exp.config.schema import HardwareConfig, RunConfig, part_config
from resnet_exp.core.cost import cost_usd
from resnet_exp.core.terminal.text import between, dollars, span, text_table
from resnet_exp.planning import training_time
from resnet_exp.planning.lines import Line, Range
from resnet_exp.planning.training_time import History
from resnet_exp.results import prices

# Most kinds of runs to estimate for each hardware; more would take minutes.
MOST = 100


@dataclass(frozen=True)
class HardwareCost:
    """Time and cost of the same runs on one hardware preset: each the lowest and highest estimate.

    Attributes:
        hardware: the preset, with its prices.
        seconds: of training.
        cost_usd: on demand.
        spot_usd: the same on a machine that can be taken away; None without such a price.
    """

    hardware: HardwareConfig
    seconds: Range
    cost_usd: Range
    spot_usd: Range | None


@dataclass(frozen=True)
class Elsewhere:
    """The same runs on all hardware with a price, by rising cost; and presets on which a time is unknown."""

    known: tuple[HardwareCost, ...] = ()
    unknown: tuple[str, ...] = ()

    def lines(self) -> list[Line]:
        """A table and a row; empty if the time is unknown on all hardware."""
        if not self.known:
            return []
        rows = [("hardware", "time", "cost", "spot", "price of"), *map(_cells, self.known)]
        table = [f"  {line}" for line in text_table(rows)]
        return [*table, *([("unknown", ", ".join(self.unknown))] if self.unknown else [])]


def elsewhere(configs: Sequence[RunConfig], history: History) -> Elsewhere:
    """The same runs on other hardware; nothing for more than `MOST` kinds of runs.

    Args:
        configs: of the runs, whose times are added.
        history: of finished runs.
    """
    kinds = {identity.group(config): config for config in configs}
    counts = Counter(identity.group(config) for config in configs)
    if not 0 < len(kinds) <= MOST:
        return Elsewhere()
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
        seconds = sum(time.low * count for time, count in times), sum(time.high * count for time, count in times)
        known.append(_costs(hardware, seconds))
    return Elsewhere(tuple(sorted(known, key=lambda each: each.cost_usd[0])), tuple(unknown))


def _at_price_of(own: HardwareConfig | None, hardware: HardwareConfig) -> HardwareConfig:
    if own is None:
        return hardware
    return replace(
        hardware,
        usd_per_node_hour=own.usd_per_node_hour,
        price_date=own.price_date,
        spot_usd_per_node_hour=own.spot_usd_per_node_hour,
    )


def _costs(hardware: HardwareConfig, seconds: Range) -> HardwareCost:
    on_demand = _priced(seconds, hardware.usd_per_node_hour)
    assert on_demand is not None
    return HardwareCost(hardware, seconds, on_demand, _priced(seconds, hardware.spot_usd_per_node_hour))


def _priced(seconds: Range, usd_per_hour: float | None) -> Range | None:
    low, high = (cost_usd(each, usd_per_hour) for each in seconds)
    return None if low is None or high is None else (low, high)


def _cells(each: HardwareCost) -> tuple[str, ...]:
    return (
        each.hardware.name,
        between(*each.seconds, span),
        between(*each.cost_usd, dollars),
        "" if each.spot_usd is None else between(*each.spot_usd, dollars),
        each.hardware.price_date or "",
    )
