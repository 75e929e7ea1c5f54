"""Help in the width of a terminal, wrong options in one line, and what a shell shows after TAB."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from resnet_exp import clean, convert, dashboard, evaluate, export, plan, plot, report, status
from resnet_exp.core.terminal.help_text import wrapped
from resnet_exp.core.terminal.text import plural
from resnet_exp.data import __main__ as data
from support.terminal import COLUMNS, Terminal
from support.warm import WarmPython

WITH_OPTIONS = {
    "status": (status.main, ["--kind", "failedd"], "resnet_exp status --kind failedd is unknown; did you mean failed?"),
    "data": (data.main, ["spilt"], "resnet_exp data spilt is unknown; did you mean split?"),
    "data imagenet": (
        *(data.main, ["imagenet", ".", "--convert", "tar"]),
        "resnet_exp data imagenet --convert tar is unknown; use one of ffcv, mds;",
    ),
    "report": (report.main, ["runs"], "the following arguments are required: -o/--output; --help shows what there is"),
    "plot": (plot.main, [], "the following arguments are required: RUN_DIR; --help shows what there is"),
    "evaluate": (evaluate.main, [], "the following arguments are required: MODEL; --help shows what there is"),
    "export": (export.main, [], "the following arguments are required: MODEL; --help shows what there is"),
    "dashboard": (dashboard.main, ["--nope", "a/b"], "--nope is not an option; --help shows what there is"),
    "clean": (clean.main, ["--dayz=3"], "--dayz=3 is not an option; did you mean --days? --help shows what there is"),
    "data split": (
        *(data.main, ["split", ".", "--vall", "0.1"]),
        "--vall is not an option; did you mean --val? --help shows what there is",
    ),
}


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_options(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    main, wrong, said = WITH_OPTIONS[name]
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= COLUMNS and "`" not in text
    with pytest.raises(SystemExit, match="2"):
        main(wrong)
    error = capsys.readouterr().err
    assert error.startswith(said) and error.count("\n") == 1


@pytest.mark.parametrize("text", [plan.HELP, convert.HELP])
def test_no_word_is_broken(text: str) -> None:
    lines = wrapped(text, COLUMNS)
    assert max(map(len, lines.splitlines())) <= COLUMNS
    assert lines.split() == text.split()
    assert wrapped(text, None) == text


def test_the_help_of_hydra_fits_the_terminal() -> None:
    terminal = Terminal([sys.executable, "-m", "resnet_exp", "--help"])
    terminal.read_until(None)
    assert terminal.exit_code() == 0
    lines = terminal.lines()
    assert "recipe: baseline, finetune, hot, medium, mild" in lines
    assert 60 < max(map(len, lines)) <= COLUMNS


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("resnet_exp -cn ", ["ablation", "adaptive", "demo", "frontier", "mine", "seeds"]),
        ("resnet_exp --config-name de", ["demo"]),
        ("resnet_exp -cn demo rec", ["recipe=", "recipe_info."]),
        ("resnet_exp -cd ", []),
        ("resnet_exp recipe=nothing ss", []),
        ("resnet_exp --cfg nothing ", []),
    ],
)
def test_completion(line: str, shown: list[str], tmp_path: Path, warm_python: WarmPython) -> None:
    (tmp_path / "mine.yaml").touch()
    line = line.replace("resnet_exp -cn ", f"resnet_exp -cd {tmp_path} -cn ") if line.endswith("-cn ") else line
    environ = {**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line))}
    done = warm_python.run(["resnet_exp", "-sc", "query=bash"], tmp_path, environ)
    assert (done.returncode, done.stderr, done.stdout.split()) == (0, "", shown)


def test_one_of_a_kind_is_no_plural() -> None:
    assert [plural(1, "epoch"), plural(2, "epoch"), plural(1, "batch"), plural(1200, "batch")] == [
        *("1 epoch", "2 epochs", "1 batch", "1,200 batches"),
    ]
