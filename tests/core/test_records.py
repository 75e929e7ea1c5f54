"""Dataclasses read from JSON: what is missing or impossible is named, nothing is repaired."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from resnet_exp.core.errors import RequestError
from resnet_exp.core.records import Count, Fraction, Text, Texts, from_json, read_record


@dataclass(frozen=True)
class Inner:
    share: Fraction
    note: Text | None


@dataclass(frozen=True)
class Outer:
    name: Text
    inner: Inner
    words: Texts
    how: Literal["fast", "slow"] = "fast"
    count: Count = 1
    other: Inner | None = None


GOOD: dict[str, Any] = {"name": "a", "inner": {"share": 1, "note": None}, "words": ["b"]}


def test_what_is_read() -> None:
    assert from_json(Outer, {**GOOD, "unknown": 3}) == Outer("a", Inner(1.0, None), ("b",))
    assert from_json(Outer, {**GOOD, "how": "slow", "count": 2, "other": {"share": 0.5, "note": "c"}}) == Outer(
        "a", Inner(1.0, None), ("b",), "slow", 2, Inner(0.5, "c")
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": ""}, "name='' must be a text"),
        ({"name": "\udcff"}, "must be a text"),
        ({"name": None}, "name=None must be a text"),
        ({"inner": 3}, "it has no inner"),
        ({"inner": {"share": 0.5}}, "it has no inner.note"),
        ({"inner": {"share": 1.5, "note": None}}, "inner.share=1.5 must be a number from 0 to 1"),
        ({"inner": {"share": True, "note": None}}, "inner.share=True must be a number from 0 to 1"),
        ({"inner": {"share": float("nan"), "note": None}}, "inner.share=nan must be a number from 0 to 1"),
        ({"words": ["b", 3]}, "words=['b', 3] must be a list of texts"),
        ({"how": "wild"}, "how='wild' must be one of fast, slow"),
        ({"how": ["fast"]}, "how=['fast'] must be one of fast, slow"),
        ({"count": 0}, "count=0 must be a whole number from 1 to 1e+12"),
        ({"count": 1.0}, "count=1.0 must be a whole number from 1 to 1e+12"),
        ({"count": None}, "count=None must be a whole number from 1 to 1e+12"),
    ],
    ids=str,
)
def test_what_cannot_be_is_named(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=f"{re.escape(why)}$"):
        from_json(Outer, {**GOOD, **changes})


def test_a_file_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "outer.json"
    assert read_record(path, lambda values: from_json(Outer, values)) is None
    path.write_text('{"name": "a"}')
    with pytest.raises(RequestError) as refused:
        read_record(path, lambda values: from_json(Outer, values))
    assert str(refused.value) == f"{path}: it has no inner; remove it to run again"
