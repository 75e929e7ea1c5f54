"""What a search looks for: runs that are better or faster than all others, or the best run within a budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from resnet_exp.config.schema import HardwareConfig
from resnet_exp.core.budget import Budget, amount_text, parse_budget
from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import span
from resnet_exp.runs.result import Result

KEY = "hydra.sweeper.budget"


@dataclass(frozen=True)
class Goal:
    """The objectives of a search; `budget`: None for higher top-1 in less training time."""

    budget: Budget | None = None

    @classmethod
    def of(cls, text: str | None) -> Goal:
        """The goal that ``hydra.sweeper.budget`` says; raises `RequestError` if it is not a time or price."""
        return cls(None if text is None else parse_budget(KEY, text))

    @property
    def directions(self) -> list[Literal["maximize", "minimize"]]:
        """Of the objectives, as Optuna calls them."""
        return ["maximize", "minimize"] if self.budget is None else ["maximize"]

    @property
    def text(self) -> str:
        """The budget as text, empty without one: what must not change while a search goes on."""
        return "" if self.budget is None else str(self.budget)

    def check_price(self, hardware: HardwareConfig) -> None:
        """Raise `RequestError` if the budget is in dollars, and `hardware` has no price."""
        if self.budget is not None and self.budget.axis == "cost_usd" and hardware.usd_per_node_hour is None:
            raise RequestError(
                f"{KEY}={self.text}: hardware={hardware.name} has no price; give one with "
                f"hardware.usd_per_node_hour=PRICE, or a time, such as {KEY}=10min"
            )

    def cost(self, result: Result) -> float:
        """What a run took of the budget: seconds or dollars; without a budget, seconds. Infinite without a price."""
        if self.budget is None or self.budget.axis == "train_seconds":
            return result.timing.train_seconds
        return math.inf if result.cost_usd is None else result.cost_usd

    def values(self, result: Result) -> list[float]:
        """The objectives of a run.

        A run over the budget is worse than all within it, the worse the more it is over: so the search learns from it
        where the limit is.
        """
        cost = self.cost(result)
        if self.budget is None:
            return [result.top1, cost]
        return [result.top1 if cost <= self.budget.amount else 1 - cost / self.budget.amount]

    def is_within(self, values: list[float]) -> bool:
        """Whether a run with these objectives is within the budget."""
        return self.budget is None or values[0] >= 0

    def cost_text(self, cost: float) -> str:
        """What `cost` is, as text."""
        return span(cost) if self.budget is None else amount_text(self.budget.axis, cost)


FRONT = Goal()
