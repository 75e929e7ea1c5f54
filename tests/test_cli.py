"""The command line leaves the process as it was, and jobs as the user set them up."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from resnet_exp import cli, convert, plan
from resnet_exp.config.overrides import command_line
from resnet_exp.config.schema import LauncherConfig, RunConfig
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, RequestError
from resnet_exp.sweep.planned import Sweep

WORDS = ("recipe=baseline", "dataset=digits", "hardware=cpu")
FULL_ERROR = "HYDRA_FULL_ERROR"
CHILD = "import os, sys; sys.exit('HYDRA_FULL_ERROR' in os.environ)"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(FULL_ERROR, raising=False)


def child_of_a_run(config: RunConfig) -> int:
    return subprocess.run([sys.executable, "-c", CHILD]).returncode


def child_of_a_sweep(sweep: Sweep, launcher: LauncherConfig) -> int:
    return subprocess.run([sys.executable, "-c", CHILD]).returncode


@pytest.mark.parametrize("words", [WORDS, ("-m", *WORDS, "seed=1,2")], ids=["run", "sweep"])
def test_children_have_the_environment_of_the_user(words: tuple[str, ...]) -> None:
    assert cli.run_hydra(words, child_of_a_run, child_of_a_sweep) == EXIT_DONE
    assert FULL_ERROR not in os.environ


def test_the_process_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["program", "--of", "somebody=else"])
    before, seen = signal.getsignal(signal.SIGTERM), list[object]()

    def job(config: RunConfig) -> int:
        seen.append(signal.getsignal(signal.SIGTERM))
        return EXIT_DONE

    assert cli.run_hydra(WORDS, job) == EXIT_DONE
    assert seen == [signal.default_int_handler] and signal.getsignal(signal.SIGTERM) is before
    assert plan.main(["picture=x.nope", *WORDS]) == convert.main(["verify=maybe", *WORDS]) == EXIT_BAD_REQUEST
    assert sys.argv == ["program", "--of", "somebody=else"]


def test_being_told_to_stop_is_an_interrupt() -> None:
    def job(config: RunConfig) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("went on")

    assert cli.run_hydra(WORDS, job) == EXIT_INTERRUPTED


def test_a_traceback_is_for_those_who_ask(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def job(config: RunConfig) -> int:
        raise KeyError("a fault\nof ours")

    assert cli.run_hydra(WORDS, job) == EXIT_FAILED
    assert capfd.readouterr().err == "KeyError: 'a fault\\nof ours'; HYDRA_FULL_ERROR=1 shows where\n"
    monkeypatch.setenv(FULL_ERROR, "1")
    with pytest.raises(KeyError):
        cli.run_hydra(WORDS, job)
    assert os.environ[FULL_ERROR] == "1"


def test_requests_are_refused_in_this_process_too(capfd: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["recipe=none"], "recipe=none is not available"),
        (["--nope"], "--nope is not an option; --help shows what there is"),
        (["--cgf", "job"], "--cgf is not an option; did you mean --cfg? --help shows what there is"),
        (["--experimental-rerun", "x", *WORDS], "--experimental-rerun is not an option"),
        ([*WORDS, "seed=-1"], "seed=-1 is out of range"),
    ):
        assert cli.main(words) == EXIT_BAD_REQUEST
        assert capfd.readouterr().err.startswith(said)


def test_options_may_stand_anywhere() -> None:
    parsed = command_line.parse(["a=1", "-cn", "hot", "b=2", "-m", "hydra.x=1", "c=3"])
    assert (parsed.overrides, parsed.config_name, parsed.multirun) == (["a=1", "b=2", "hydra.x=1", "c=3"], "hot", True)
    words = ["-cn", "hot", "-m", "a=1", "hydra.launcher.wait=false"]
    assert command_line.options_here(words) == ["-cn", "hot", "hydra.mode=RUN"]
    assert command_line.options_on_slurm(words) == [
        *("-cn", "hot", "-m", "hydra.launcher.wait=false", "hydra.sweeper.grids=null", "sweep=null")
    ]
    with pytest.raises(RequestError, match="-cn: expected one argument"):
        command_line.parse(["-cn"])


def test_words_of_ones_own_are_taken() -> None:
    assert command_line.take_words(["a=1", "verify=true", "verify_not=1", "-m"], "verify") == (
        {"verify": "true"},
        ["a=1", "verify_not=1", "-m"],
    )
    assert command_line.words_of(command_line.command_of(["a=[1, 2]", "-m"])) == ["a=[1, 2]", "-m"]
    assert command_line.words_of("python -m resnet_exp seed=1") == ["seed=1"]


def test_a_python_that_looks_at_help_texts_early_is_none_the_wiser(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of Python 3.14 does: it refused an option of Hydra's."""
    container: Any = argparse._ActionsContainer
    add_argument = container.add_argument

    def check_help(self: Any, action: argparse.Action) -> None:
        assert "%" not in (action.help or "")

    def add(self: Any, *names: str, **settings: Any) -> argparse.Action:
        action = add_argument(self, *names, **settings)
        self._check_help(action)
        return action

    monkeypatch.setattr(container, "_check_help", check_help, raising=False)
    monkeypatch.setattr(container, "add_argument", add)
    assert command_line.parse(["-m", "ssr=1"]).overrides == ["ssr=1"]
    assert "_check_help" not in vars(argparse.ArgumentParser)
