"""A budget of a training run, in time or money: ``10min``, ``1.5h``, ``$10``, ``10usd``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import dollars, span

SECONDS = {"s": 1, "sec": 1, "min": 60, "h": 3600, "d": 86_400}
DOLLARS = "usd"
WRITTEN = re.compile(r"(?P<sign>\$?) *(?P<number>\d+\.?\d*|\.\d+) *(?P<unit>[a-z]*)")


@dataclass(frozen=True)
class Budget:
    """The most that a run may take: seconds of training, or their cost in dollars."""

    axis: Literal["train_seconds", "cost_usd"]
    amount: float

    def __str__(self) -> str:
        return amount_text(self.axis, self.amount)


def amount_text(axis: Literal["train_seconds", "cost_usd"], amount: float) -> str:
    """A time or a cost as text."""
    return dollars(amount) if axis == "cost_usd" else span(amount)


def parse_budget(key: str, text: str) -> Budget:
    """The budget that a user has written.

    Args:
        key: of the setting, for the message.
        text: its value.

    Raises:
        RequestError: it is neither a time nor an amount of money.
    """
    found = WRITTEN.fullmatch(text.strip().lower())
    sign, number, unit = found.groups() if found else ("", "0", "")
    amount, money = float(number), bool(sign) or unit == DOLLARS
    known = unit in ("", DOLLARS) if money else unit in SECONDS
    if not (found and known and amount > 0 and math.isfinite(amount)):
        unquoted = "; a shell reads $1 as a variable, so quote it" if found and not (sign or unit) else ""
        raise RequestError(
            f"{key}={text} is not a time or price{unquoted}; use {key}=10min, {key}=2h, '{key}=$10' or {key}=10usd"
        )
    return Budget("cost_usd", amount) if money else Budget("train_seconds", amount * SECONDS[unit])
