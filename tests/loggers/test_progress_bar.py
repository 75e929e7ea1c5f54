"""What a person sees on a real terminal of 80 columns, and what the table says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from resnet_exp.launch import summary
from resnet_exp.runs.result import Result
from resnet_exp.runs.result import result_of as parse
from support.run_folders import result_of
from support.terminal import COLUMNS, Terminal

BAR = re.compile(
    r"epoch [ \d]\d/18 \|[^|]+\| loss \d+\.\d{3} lr \d\.\d{4} \d+ px +([\d,]+|-) images/s ETA +(-|[\d.]+ (s|min))"
)


@pytest.mark.slow
def test_a_run_on_a_terminal(tmp_path: Path, tiny: list[str], photo_tree: Any) -> None:
    places = [f"runs_dir={tmp_path / 'runs'}", f"data.cache_dir={tmp_path / 'cache'}", f"dataset.dir={photo_tree()}"]
    data = ["recipe=mild", "data=imagefolder", "dataset=imagefolder"]
    # Long enough that it cannot have ended when the key arrives.
    command = [sys.executable, "-m", "resnet_exp", *places, *tiny, *data, "ssr=0.2"]
    terminal = Terminal(command)
    terminal.read_until(r"epoch  1/18 +top-1")
    terminal.read_until(r"epoch  2/18 \|[^|]+\| loss")
    terminal.type("\x03")
    terminal.read_until(None)
    assert terminal.exit_code() == 130
    states, lines = [state for line in terminal.states() for state in line], terminal.lines()
    assert any(state.startswith("starting: ") for state in states)
    assert any(BAR.fullmatch(state) for state in states)
    # The folder is there to be copied: it is not broken into lines.
    assert [state for state in states if len(state) > COLUMNS and str(tmp_path) not in state] == []
    assert [
        line for line in lines if re.match(r"epoch  1/18  top-1 +\d+\.\d\d%  top-5 +\d+\.\d\d%  eval loss \d", line)
    ]
    assert [line for line in lines if "starting: " in line or "waiting" in line or "evaluating" in line] == []
    stopping = lines.index("stopping: saving a checkpoint first (twice more Ctrl-C to kill)")
    # The key may arrive in an evaluation, which ends first.
    assert all(line.startswith("epoch ") for line in lines[stopping + 1 : -2]) and len(lines) <= stopping + 4
    assert re.fullmatch(r"stopped; rerun the same command to continue: \S+", lines[-2])
    assert lines[-1] == ""


def result(**changes: Any) -> Result:
    known = {"hardware__usd_per_node_hour": None, "hardware__price_date": None, "top5": 0.93, **changes}
    timing = {"timing__eval_seconds": 41.0, "timing__data_wait_seconds": 81.12}
    return parse(result_of("mild", images_per_second=25257.4, **timing, **known))


def test_table() -> None:
    assert summary.table(result(), Path("/runs/mild")).splitlines() == [
        "  top-1      76.60%  of 50,000 images, each seen once",
        "  top-5      93.00%",
        "  trained    32 epochs (20,000 batches) in 27.0 min",
        "  evaluated  in another 41 s",
        "  speed      25,257 images/s; 5.0% of the time waiting for data",
        "  folder     /runs/mild",
    ]


def test_table_with_a_price() -> None:
    table = summary.table(
        result(hardware__usd_per_node_hour=32.7726, hardware__price_date="2022-07-15"), Path("/runs/mild")
    )
    assert "  cost       $14.77 to train, at $32.77 an hour (price of 2022-07-15)" in table.splitlines()
    table = summary.table(result(hardware__usd_per_node_hour=32.7726, hardware__nodes=2), Path("/runs/mild"))
    assert "  cost       $29.54 to train, at $32.77 an hour for each of 2 nodes" in table.splitlines()


def test_rows_are_wrapped_at_words_and_commands_are_not() -> None:
    lines = summary.table(result(resumed=3), Path("/runs") / ("x" * 90), 40).splitlines()
    assert "  speed      25,257 images/s; 5.0% of" in lines
    assert "             the time waiting for data" in lines
    assert "  resumed    3 times" in lines
    assert lines[-1] == "  folder     /runs/" + "x" * 90
