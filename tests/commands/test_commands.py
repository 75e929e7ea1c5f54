"""``resnet_exp COMMAND``: the list, what a mistyped one is answered, the version, and completion in a shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_exp.commands import table
from resnet_exp.commands.table import COMMANDS
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE
from resnet_exp.core.version import __version__
from resnet_exp.runs.environment import this_environment
from support.commands import RunCli
from support.paths import ROOT
from support.warm import WarmPython

SCRIPT = Path(sys.executable).parent / "resnet_exp"


@pytest.fixture
def resnet_exp(tmp_path: Path, warm_python: WarmPython) -> RunCli:
    """``resnet_exp WORDS`` in the test's folder, as the script of the package starts it."""
    return lambda *words, timeout=300, module="resnet_exp": warm_python.run([module, *words], tmp_path, timeout=timeout)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "train"])
def test_a_command_is_its_module(name: str, resnet_exp: RunCli) -> None:
    one, other = resnet_exp(name, "--help"), resnet_exp("--help", module=f"resnet_exp.{name}")
    assert (one.returncode, one.stderr) == (EXIT_DONE, "")
    assert one.stdout == other.stdout and len(one.stdout) > 100


def test_every_command_file_is_in_the_list() -> None:
    commands = {path.stem for path in (ROOT / "resnet_exp").glob("*.py") if "program.run(main)" in path.read_text()}
    # The package whose `__main__` is a command.
    assert commands | {"data"} == set(COMMANDS)


def test_commands_that_read_runs_need_no_hydra(tmp_path: Path) -> None:
    script = "import sys; from resnet_exp.__main__ import main; sys.argv = ['resnet_exp', 'plot', '--help']; main()"
    check = f"{script}; sys.exit('hydra' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=tmp_path, capture_output=True).returncode == EXIT_DONE


def test_training_needs_no_command(resnet_exp: RunCli) -> None:
    words = ("recipe=hot", "ssr=0.5", "--cfg", "job")
    assert resnet_exp("train", *words).stdout == resnet_exp(*words).stdout != ""
    done = resnet_exp("train", "nothing")
    assert done.returncode == EXIT_BAD_REQUEST and "nothing is not a run folder: it has no config.yaml" in done.stderr


def test_help_lists_the_commands_and_then_those_of_training(resnet_exp: RunCli) -> None:
    text = resnet_exp("--help").stdout
    for name, about in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(about)}$", text, re.MULTILINE)
    assert text.endswith(resnet_exp("train", "--help").stdout)
    page = (ROOT / "docs" / "commands.md").read_text().splitlines()
    for line in table.listing().splitlines()[2:-2]:
        assert len(line) <= 100 and line in page


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("plann",), "plann is not a command; did you mean plan?"),
        (("dashbord", "me/project"), "dashbord is not a command; did you mean dashboard?"),
        (("repot", "runs"), "repot is not a command; did you mean report?"),
        (("xyz", "recipe=hot"), f"xyz is not a command; use one of {', '.join(COMMANDS)}, or settings (ssr=0.5)"),
        (("runs/mine",), "runs/mine is a run folder, not a command; use resnet_exp train runs/mine"),
        (("runs",), "runs is a folder, not a command; use dataset.dir=runs"),
        (("convert", "runs"), "runs is not key=value; use dataset.dir=runs"),
    ],
)
def test_a_mistyped_command(words: tuple[str, ...], says: str, resnet_exp: RunCli, tmp_path: Path) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "config.yaml").touch()
    done = resnet_exp(*words)
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_BAD_REQUEST, "", f"{says}\n")


def test_the_version_is_ours(resnet_exp: RunCli) -> None:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for words in (("--version",), ("plan", "--version"), ("report", "--version"), ("recipe=hot", "--version")):
        done = resnet_exp(*words)
        assert done.returncode == EXIT_DONE
        assert done.stdout.startswith(f"resnet_exp {__version__} (commit {commit[:12]}")
    assert resnet_exp("--version", module="resnet_exp.plan").stdout.startswith(f"resnet_exp {__version__}")
    assert this_environment().version == __version__


# What the user has typed, and some of what bash then offers: all of it, where the line ends with a stop.
COMPLETED = {
    "resnet_exp pl": "plan plot .",
    "resnet_exp do": "doctor .",
    "resnet_exp ": "train plan status recipe= ssr=",
    "resnet_exp report --t": "--target .",
    "resnet_exp status --kind f": "failed .",
    "resnet_exp plot -": "--help --output",
    "resnet_exp plan tar": "target_top1= .",
    "resnet_exp plan recipe=h": "recipe=hot .",
    "resnet_exp train recipe=h": "recipe=hot .",
    "resnet_exp recipe=h": "recipe=hot .",
    "resnet_exp convert ver": "verify=true .",
    "resnet_exp doctor --j": "--json .",
    "resnet_exp data sp": "split .",
    "resnet_exp data check --j": "--json .",
}


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_completion(shell: str, tmp_path: Path, warm_python: WarmPython) -> None:
    """What the shells' functions ask, and, once, that bash asks it."""
    for line, shown in COMPLETED.items():
        environ = {**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line))}
        done = warm_python.run(["resnet_exp", "-sc", f"query={shell}"], tmp_path, environ)
        assert (done.returncode, done.stderr) == (EXIT_DONE, ""), line
        words = shown.removesuffix(" .").split()
        found = [word for word in done.stdout.split() if word.startswith(line.split(" ")[-1])]
        assert found == words if shown.endswith(".") else set(words) <= set(found), line


def test_bash_completes(tmp_path: Path) -> None:
    """The installed script in a real bash, with the installed function."""
    ask = 'COMP_LINE="resnet_exp repo"; COMP_POINT=15; COMP_WORDS=(resnet_exp repo); COMP_CWORD=1'
    script = f'eval "$(resnet_exp -sc install=bash)"; {ask}; hydra_bash_completion; echo "${{COMPREPLY[@]}}"'
    environ = {**os.environ, "PATH": f"{SCRIPT.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "report\n", "")
