"""Numbers and rows as the Explorer page should write them, stated once more."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal

from resnet_exp.core.terminal.text import with_error
from resnet_exp.results.frontier import Spread
from support.page_statement import Row

DASH = "–"


def _rounded(number: Decimal, digits: int) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def fixed(number: float, digits: int) -> str:
    """As ``toFixed`` writes it: from the exact value, ties away from 0."""
    return str(_rounded(Decimal(number), digits))


def _local(number: float, digits: int) -> str:
    """As ``toLocaleString`` writes it: from the shortest decimal number."""
    return f"{_rounded(Decimal(repr(number)), digits):,f}"


def _unit(seconds: float) -> tuple[int, str, int]:
    if seconds < 120:
        return 1, "s", 1 if seconds < 10 else 0
    return (60, "min", 1) if seconds < 7200 else (3600, "h", 2)


def duration(seconds: float) -> str:
    divide, unit, digits = _unit(seconds)
    return f"{fixed(seconds / divide, digits)} {unit}"


def durations(spread: Spread | None) -> str:
    if spread is None or spread.sem is None:
        return DASH if spread is None else duration(spread.mean)
    divide, unit, digits = _unit(spread.mean)
    return f"{with_error(spread.mean / divide, spread.sem / divide, digits)} {unit}"


def _cents(dollars: float) -> int:
    return 4 if 0 < abs(dollars) < 0.1 else 2


def money(dollars: float) -> str:
    return f"${_local(dollars, _cents(dollars))}"


def moneys(spread: Spread | None) -> str:
    if spread is None or spread.sem is None:
        return DASH if spread is None else money(spread.mean)
    return with_error(spread.mean, spread.sem, _cents(spread.mean), "$")


def percents(spread: Spread) -> str:
    if spread.sem is None:
        return fixed(100 * spread.mean, 2)
    return with_error(100 * spread.mean, 100 * spread.sem, 2)


def saving(ratio: float) -> str:
    return f"{math.floor(100 * (1 - 1 / ratio) + 0.5)} %"


def _short(number: float) -> str:
    return f"{Decimal(f'{number:.6g}').normalize():f}"


TEXTS: dict[str, Callable[[float, float], str]] = {
    "duration": lambda mean, sem: duration(mean),
    "money": lambda mean, sem: money(mean),
    "percent": lambda mean, sem: fixed(100 * mean, 2),
    "shortPercent": lambda mean, sem: _short(100 * mean),
    "shortNumber": lambda mean, sem: _short(mean),
    "durations": lambda mean, sem: durations(Spread(mean, sem, 2)),
    "moneys": lambda mean, sem: moneys(Spread(mean, sem, 2)),
    "percents": lambda mean, sem: percents(Spread(mean, sem, 2)),
    "ratio": lambda mean, sem: f"{fixed(mean, 2)}×",
    "saving": lambda mean, sem: f"≥ {saving(mean)}",
}


def expected_cells(row: Row, marks: list[str]) -> list[str]:
    """A row of the table."""
    run, group = row.run, row.group
    bounds = ["≥ " if ratio and ratio[1] else "" for ratio in row.ratios]
    speed_up, saved = (ratio and ratio[0] for ratio in row.ratios)
    return [
        "◆" if row.on_front else "", run.recipe, DASH if run.ssr is None else f"{run.ssr:g}", percents(group.top1),
        str(group.n), durations(group.train_seconds), moneys(group.cost_usd),
        f"{bounds[0]}{fixed(speed_up, 2)}×" if speed_up else DASH, f"{bounds[1]}{saving(saved)}" if saved else DASH,
        DASH if run.epochs is None else f"{run.epochs:g}", run.model, run.hardware, run.data or DASH, run.evaluated,
        run.clock or DASH, ", ".join(marks),
    ]  # fmt: skip
