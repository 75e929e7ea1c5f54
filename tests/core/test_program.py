"""Standard streams, of every command as of other Unix tools: readers that leave, full disks, closed and ASCII ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from resnet_exp.commands.table import COMMANDS, TRAIN
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_PIPE_CLOSED
from support.commands import TINY, command
from support.photos import PhotoTree
from support.run_folders import write_run
from support.warm import WarmPython

LOST = "standard output cannot be written ({}); send it to another file\n"
FULL = LOST.format("No space left on device")
DIGITS = ("dataset=digits", "hardware=cpu")
ANSWERS = {
    "train": ("resnet_exp", *DIGITS, "run_id=done"),
    "train --help": ("resnet_exp", "--help"),
    "train --hydra-help": ("resnet_exp", "--hydra-help"),
    "train --version": ("resnet_exp", "--version"),
    "train --cfg": ("resnet_exp", "--cfg", "job"),
    "train --info": ("resnet_exp", "--info", "config"),
    "completion": ("resnet_exp", "-sc", "install=bash"),
    "clean": ("resnet_exp.clean", "--dry-run"),
    "clean --help": ("resnet_exp.clean", "--help"),
    "convert --help": ("resnet_exp.convert", "--help"),
    "data --help": ("resnet_exp.data", "--help"),
    "plan": ("resnet_exp.plan", *DIGITS),
    "plan of a sweep": ("resnet_exp.plan", "-m", *DIGITS, "seed=1,2"),
    "plan of a target": ("resnet_exp.plan", "target_top1=0.7"),
    "plan --help": ("resnet_exp.plan", "--help"),
    "status": ("resnet_exp.status", "runs"),
    "status --json": ("resnet_exp.status", "runs", "--json"),
    "status --help": ("resnet_exp.status", "--help"),
    "report": ("resnet_exp.report", "runs", "-o", "report"),
    "report --help": ("resnet_exp.report", "--help"),
    "plot": ("resnet_exp.plot", "runs/done"),
    "plot --help": ("resnet_exp.plot", "--help"),
    "dashboard": ("resnet_exp.dashboard", "me/project", "--dry-run", "dashboard.json"),
    "dashboard --help": ("resnet_exp.dashboard", "--help"),
    "doctor --help": ("resnet_exp.doctor", "--help"),
    "pull --help": ("resnet_exp.pull", "--help"),
    "evaluate --help": ("resnet_exp.evaluate", "--help"),
    "export --help": ("resnet_exp.export", "--help"),
    "predict --help": ("resnet_exp.predict", "--help"),
}


def left_pipe() -> int:
    """A pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_lost(name: str, tmp_path: Path, warm_python: WarmPython) -> None:
    write_run(tmp_path / "runs", "done")
    words = list(ANSWERS[name])
    left = warm_python.run(words, tmp_path, stdout=left_pipe())
    assert (left.returncode, left.stderr) == (EXIT_PIPE_CLOSED, "")
    full = warm_python.run(words, tmp_path, stdout=full_disk())
    assert (full.returncode, full.stderr) == (EXIT_FAILED, FULL)


@pytest.mark.usefixtures("compiled")
def test_a_run_goes_on_without_its_terminal(tmp_path: Path, photo_tree: PhotoTree, warm_training: WarmPython) -> None:
    photos = ("dataset=imagefolder", f"dataset.dir={photo_tree()}", "data=imagefolder")
    words = command(tmp_path, *TINY, *photos, "run_id=mine")[2:]
    trained = warm_training.run(words, tmp_path, stdout=full_disk())
    assert (trained.returncode, trained.stderr) == (EXIT_DONE, FULL)
    assert (tmp_path / "runs" / "mine" / "result.json").exists()


def shell(line: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """A new process: what is closed, and what a terminal shows, is known when Python starts."""
    return subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m {line}"],
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_streams_that_are_closed(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "done")
    closed = LOST.format("Bad file descriptor")
    for line, code, error in (
        ("resnet_exp.status runs >&-", EXIT_FAILED, closed),
        ("resnet_exp.plan dataset=digits <&- >&-", EXIT_FAILED, closed),
        ("resnet_exp.status runs 2>&-", EXIT_DONE, ""),
        ("resnet_exp.status nowhere 2>&-", EXIT_BAD_REQUEST, ""),
        ("resnet_exp.status nowhere 2>/dev/full", EXIT_BAD_REQUEST, ""),
        ("resnet_exp.report runs -o report <&- >&- 2>&-", EXIT_FAILED, ""),
    ):
        done = shell(line, tmp_path)
        assert (done.returncode, done.stderr) == (code, error), line
    # None of the report's files became standard output.
    assert (tmp_path / "report" / "frontier.md").read_text().startswith("#")


def test_characters_that_a_terminal_does_not_have(tmp_path: Path) -> None:
    write_run(tmp_path / "прогоны", "done")
    escaped = str(tmp_path) + r"/\u043f\u0440\u043e\u0433\u043e\u043d\u044b"
    for line, shown in (
        ("resnet_exp.status прогоны --kind done", "1 run: 1 done"),
        ("""resnet_exp 'runs_dir="прогоны"' dataset=digits hardware=cpu run_id=done""", escaped),
        ("""resnet_exp --cfg job 'runs_dir="прогоны"'""", r"\u043f\u0440\u043e"),
    ):
        done = shell(line, tmp_path, PYTHONIOENCODING="ascii")
        assert (done.returncode, done.stderr) == (EXIT_DONE, "")
        assert shown in done.stdout
    refused = shell("resnet_exp.status нигде", tmp_path, PYTHONIOENCODING="ascii")
    assert refused.returncode == EXIT_BAD_REQUEST and refused.stderr.isascii()


# What a shell starts in the background ignores Ctrl-C, and so do its children unless they say otherwise.
INTERRUPTED = """
import signal, sys
from resnet_exp.core.terminal import program
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(program.run(lambda: open("fifo").read()))
"""


def test_an_interrupt_is_no_traceback(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    words = [sys.executable, "-c", INTERRUPTED]
    with (
        subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process,
        open(tmp_path / "fifo", "w"),  # it reads
    ):
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=200)
    assert (process.returncode, error) == (EXIT_INTERRUPTED, "")


def test_every_command_is_here() -> None:
    assert {f"resnet_exp.{name}" for name in COMMANDS if name != TRAIN} < {words[0] for words in ANSWERS.values()}
