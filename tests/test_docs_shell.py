"""Commands in README and docs can be typed in bash and in zsh: what either shell would read as a pattern is quoted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.docs_blocks import PAGES
from support.paths import ROOT

FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
QUOTED = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.")
PROGRAM = re.compile(r"^\$? ?(?:\w+=\S* )*(?:python -m )?resnet_exp[.\w]* ")
# zsh reads these in a word as a pattern, and refuses the line if no file fits; bash passes most of them on.
PATTERN = re.compile(r"[\[\](){}<>?^]|^~(?!/)|=.*[*~]|^=")


def commands(page: Path) -> list[str]:
    """Every command line of ours: of shell blocks, and of the text where it is whole."""
    text = page.read_text()
    blocks = [block for kind, block in FENCED.findall(text) if kind in ("", "console", "bash", "sh", "text")]
    indented = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()] + indented
    lines += INLINE.findall(FENCED.sub("", text))
    return [line.removeprefix("$ ") for line in lines if PROGRAM.match(line)]


def unquoted(line: str) -> list[str]:
    """The words of a command that a shell would not pass on as they are."""
    line = re.split(r"\s[#|>&]|;|\s2>", QUOTED.sub(lambda found: "q" * len(found[0]), line))[0]
    return [word for word in line.split() if PATTERN.search(word)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_words_that_a_shell_would_change_are_quoted(page: Path) -> None:
    assert {line: words for line in commands(page) if (words := unquoted(line))} == {}


def test_the_tests_that_a_table_names_are_there() -> None:
    """docs/gpu.md says of each defect which test shows that it is mended."""
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs" / "gpu.md").read_text())
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 20 and [name for name in named if f"def {name}(" not in sources] == []


def test_what_is_refused() -> None:
    for line, word in {
        "resnet_exp loggers=[progress,wandb]": "loggers=[progress,wandb]",
        "resnet_exp -m ssr=interval(0.1,0.2)": "ssr=interval(0.1,0.2)",
        "resnet_exp recipe=mild ~algorithms.ema": "~algorithms.ema",
        "resnet_exp data.loader={a: 1}": "data.loader={a:",
    }.items():
        assert unquoted(line)[0] == word
    assert unquoted("resnet_exp 'loggers=[progress,wandb]' '~algorithms.ema'  # [a comment]") == []
    assert len([line for page in PAGES for line in commands(page)]) > 50
