"""Text for people: one rule for each of what every command prints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resnet_exp.core.terminal.text import (
    dollars,
    one_line,
    percent_with_error,
    plural,
    printable,
    text_table,
    with_error,
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain ünïcødé 图.jpg", "plain ünïcødé 图.jpg"),
        ("a\nb\t.jpg", r"a\nb\t.jpg"),
        ("\u202egnp", r"\u202egnp"),
        ("\ud800", r"\ud800"),
    ],
)
def test_printable_text_fits_in_a_line(text: str, said: str) -> None:
    assert printable(text) == said


def test_a_path_of_other_bytes_is_the_same_as_a_path_and_as_text(tmp_path: Path) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/caf\xe9")
    (found,) = tmp_path.iterdir()
    assert printable(found) == printable(str(found)) == rf"{tmp_path}/caf\xe9"


def test_counts_and_messages() -> None:
    assert [plural(count, "run") for count in (0, 1, 1200)] == ["0 runs", "1 run", "1,200 runs"]
    assert [dollars(amount) for amount in (None, 0.0024, 0.1, 1234.5)] == ["$0.00", "$0.0024", "$0.10", "$1,234.50"]
    assert one_line(ValueError("two\n  lines\n")) == "two lines"


def test_the_cells_of_a_table_stand_below_each_other() -> None:
    assert text_table([("recipe", "runs", ""), ("hot", "1,024", "x"), ("m", "2", "")]) == [
        "recipe  runs",
        "hot     1,024  x",
        "m       2",
    ]
    assert text_table([]) == []


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((13.8, 0.04, 1), "13.80 ± 0.04"),
        ((22.54, 0.0175, 2, "$"), "$22.54 ± $0.02"),
        ((1234.5, 1100.0, 1), "1,234.5 ± 1,100.0"),
        ((13.8, 0.0, 1), "13.8 ± 0"),
        ((13.8, 1e-9, 1), "13.8000 ± <0.0001"),
    ],
)
def test_an_error_is_seen_beside_its_mean(numbers: tuple[float, float, int], said: str) -> None:
    assert with_error(*numbers) == said


def test_an_error_of_a_fraction_in_percent() -> None:
    assert percent_with_error(0.766, 0.0004) == "76.60% ± 0.04"
