"""Each command of README and docs is read by its program; `make soak` runs the blocks as written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_exp import cli
from resnet_exp.commands import table
from resnet_exp.config.overrides import command_line
from resnet_exp.planning.export.request import take_export
from support.docs_blocks import PAGES, SHELL, blocks, runs_here, shell_blocks, write_files

PROGRAM = "resnet_exp"
# Words before the program that start it elsewhere, or set its environment.
BEFORE = re.compile(r"^(?:\w+=\S*|srun|--?[\w-]+(?:=\S+)?|\$)$")


def words_of(line: str) -> list[str] | None:
    """The words that a command line gives to resnet_exp; None if it starts something else."""
    if "$(" in line:
        return None
    words = shlex.split(re.split(r"\s(?:\||>|&&)\s", line)[0], comments=True)
    before = words.index(PROGRAM) if PROGRAM in words else len(words)
    return words[before + 1 :] if before < len(words) and all(map(BEFORE.match, words[:before])) else None


def told(page: Path) -> list[list[str]]:
    """The words that a page gives to resnet_exp, each once."""
    lines = [line for block in shell_blocks(page) for line in block.commands]
    found = dict.fromkeys(tuple(words) for words in map(words_of, lines) if words is not None)
    return [list(words) for words in found]


@pytest.mark.parametrize("page", [page for page in PAGES if told(page)], ids=lambda page: page.name)
def test_every_command_is_one(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(page, tmp_path)
    for words in told(page):
        assert code_of(words) == 0, words


def code_of(words: list[str]) -> int:
    """The exit code of a command that only reads its words: of a run or a sweep it composes the configuration."""
    if "--help" in words or "--version" in words or "--cfg" in words:
        return cli.main(words)
    name, words = table.split(words)
    module = table.module_of(name or table.TRAIN, words)
    if hasattr(module, "parser"):
        module.parser().parse_args(words)
        return 0
    if words and (Path(words[0]).is_absolute() or words[0].startswith("runs/")):
        return 0  # `train RUN_DIR`
    if name == "plan":
        words = take_export(words)[1]
    own = [word.partition("=")[0] for word in getattr(module, "WORDS", ())]
    rest = [word for word in command_line.take_words(words, *own)[1] if word not in own]
    return cli.main([*map(first_of, filter("-m".__ne__, rest)), "--cfg", "job"])


def first_of(word: str) -> str:
    """A word of a sweep with the first of its values: Hydra shows the configuration of one run."""
    return re.sub(r"^([^={\[]+)=(?:interval\()?([^\[{(,]+),.*$", r"\1=\2", word)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_in_shell_blocks(page: Path) -> None:
    """And not in blocks that no test looks at."""
    for block in blocks(page):
        if block.language != SHELL:
            typed = [line for line in block.text.splitlines() if re.match(rf"(?:\$ |{PROGRAM} \S+=|make \w+$)", line)]
            assert typed == []
    indented = [line for line in page.read_text().splitlines() if re.match(rf"    (?:{PROGRAM}|make|python) ", line)]
    assert indented == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", [page for page in PAGES if runs_here(page)], ids=lambda page: page.name)
def test_blocks_run_as_written(page: Path, tmp_path: Path) -> None:
    write_files(page, tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    environ = {**os.environ, "HOME": str(tmp_path)}
    environ.pop("XDG_CACHE_HOME", None)
    environ["PATH"] = f"{sys.prefix}/bin:{environ['PATH']}"
    script = "\n".join(["set -e", *(line for block in runs_here(page) for line in block.commands)])
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
