"""``result.json`` and ``metrics.jsonl`` as the report reads them: every value checked, none repaired.

People copy, edit and merge these files. What cannot be, such as an accuracy of 1.7 or a time that is no number, must
not become a point of a frontier.
"""

from __future__ import annotations

import json
import math
from typing import Any

from resnet_exp.core import files
from resnet_exp.results.record import RunRecord

# What `train_seconds` of our own runs covers.
CLOCK = "training"
# More is a slip: 10^12 seconds are 32,000 years.
MOST = 1e12
Curve = tuple[tuple[float, float], ...]


def parse_result(text: bytes) -> dict[str, Any]:
    """The content of a ``result.json``.

    Raises:
        ValueError: it is none; the message says why.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"it is damaged ({error})") from error
    if not isinstance(value, dict) or value.get("schema") != files.SCHEMA:
        raise ValueError("it is no result of this version")
    return value


def parse_curve(text: bytes) -> Curve:
    """Training seconds and top-1 of each row of a ``metrics.jsonl``; a last line that was cut off is left out.

    Raises:
        ValueError: there are rows that are no evaluations.
    """
    # All lines as one list are several times as fast as one by one.
    lines = text[: text.rfind(b"\n") + 1].splitlines()
    return curve(json.loads(b"[%s]" % b",".join(lines)))


def curve(rows: list[dict[str, Any]]) -> Curve:
    """As `parse_curve`, from rows that are parsed already."""
    try:
        found = tuple([(row["train_seconds"], row["top1"]) for row in rows])
        if all(0 <= seconds < math.inf and 0 <= top1 <= 1 for seconds, top1 in found):
            return found
    except (KeyError, TypeError) as error:
        raise ValueError("there are rows that are no evaluations") from error
    raise ValueError("there are numbers that cannot be")


def run_of_result(result: dict[str, Any], run_id: str, curve: Curve, path: str | None) -> RunRecord:
    """A run from its result.

    Args:
        result: the content of ``result.json``.
        run_id: name of its folder.
        curve: its evaluations.
        path: its folder, if it has one.

    Raises:
        ValueError: a value is missing or impossible; the message says which.
    """
    values, timing, hardware, evaluation = (
        _Values(_part(result, name), name) for name in ("", "timing", "hardware", "evaluation")
    )
    return RunRecord(
        run_id=run_id,
        published=False,
        recipe=values.text("recipe"),
        model=values.text("model"),
        dataset=values.text("dataset"),
        data=values.text("data"),
        algorithms=values.texts("algorithms"),
        cloud=hardware.maybe("cloud", hardware.text),
        hardware=hardware.text("name"),
        gpu=hardware.maybe("gpu", hardware.text),
        devices=hardware.whole("devices"),
        nodes=hardware.whole("nodes", 1),
        cpus=hardware.maybe("cpus", hardware.whole),
        ssr=values.positive("ssr"),
        seed=values.whole("seed"),
        epochs=values.number("epochs"),
        top1=values.number("top1", 1),
        top5=values.number("top5", 1),
        train_seconds=timing.positive("train_seconds"),
        eval_seconds=timing.number("eval_seconds"),
        usd_per_node_hour=hardware.maybe("usd_per_node_hour", hardware.positive),
        price_date=hardware.maybe("price_date", hardware.text),
        published_cost_usd=None,
        eval_resize=evaluation.whole("eval_resize", 1),
        eval_crop=evaluation.whole("eval_crop", 1),
        tta="",
        clock=CLOCK,
        group=values.text("group"),
        resumed=values.whole("resumed"),
        commits=values.texts("commits"),
        dirty=values.flag("dirty"),
        samples_per_second=values.number("samples_per_second"),
        data_wait_seconds=timing.number("data_wait_seconds"),
        energy_kwh=None,
        source="",
        path=path,
        sweep=values.maybe("sweep", values.text),
        command=values.maybe("command", values.text),
        curve=curve,
    )


def _part(result: dict[str, Any], name: str) -> dict[str, Any]:
    part = result.get(name) if name else result
    if not isinstance(part, dict):
        raise ValueError(f"it has no {name}")
    return part


class _Values:
    """The values of one object of a result; each method returns that of a key or raises `ValueError`."""

    def __init__(self, values: dict[str, Any], name: str) -> None:
        self.values, self.prefix = values, f"{name}." if name else ""

    def _get(self, key: str) -> Any:
        try:
            return self.values[key]
        except KeyError:
            raise ValueError(f"it has no {self.prefix}{key}") from None

    def _refuse(self, key: str, wanted: str) -> ValueError:
        return ValueError(f"{self.prefix}{key}={self.values[key]!r:.40} must be {wanted}")

    def maybe(self, key: str, read: Any) -> Any:
        """None, or what `read` makes of it."""
        return None if self._get(key) is None else read(key)

    def text(self, key: str) -> str:
        value = self._get(key)
        if _is_text(value) and value:
            return value
        raise self._refuse(key, "a text")

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._get(key)
        if isinstance(value, list) and all(map(_is_text, value)):
            return tuple(value)
        raise self._refuse(key, "a list of texts")

    def flag(self, key: str) -> bool:
        value = self._get(key)
        if isinstance(value, bool):
            return value
        raise self._refuse(key, "true or false")

    def number(self, key: str, most: float = MOST) -> float:
        value = self._get(key)
        # True is 1 to Python; no comparison holds for NaN.
        if type(value) in (int, float) and 0 <= value <= most:
            return float(value)
        raise self._refuse(key, f"a number from 0 to {most:g}")

    def positive(self, key: str) -> float:
        if (value := self.number(key)) > 0:
            return value
        raise self._refuse(key, "above 0")

    def whole(self, key: str, least: int = 0) -> int:
        value = self._get(key)
        if type(value) is int and least <= value <= MOST:
            return value
        raise self._refuse(key, f"a whole number from {least} to {MOST:g}")


def _is_text(value: object) -> bool:
    """Whether a value is text that can be written: JSON has halves of characters too."""
    return isinstance(value, str) and (value.isascii() or value.encode(errors="ignore").decode() == value)
