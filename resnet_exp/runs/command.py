"""The command that this process runs, and the commit of its code. Standard library only."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from resnet_exp.core.records import Text
from resnet_exp.core.version import __version__

VERSION = "--version"


@dataclass(frozen=True)
class Git:
    """The code of a checkout: its commit, and whether it has uncommitted changes."""

    commit: Text
    dirty: bool


@dataclass(frozen=True)
class Command:
    """A command that a user gave: when, its words, where, and the code (None outside a checkout)."""

    time: str
    command: tuple[str, ...]
    host: str
    git: Git | None


def this_command() -> Command:
    """The command that this process runs."""
    return Command(time.strftime("%Y-%m-%dT%H:%M:%S%z"), tuple(sys.argv), socket.gethostname(), git())


def version_line() -> str:
    """Answer to `VERSION`, in a checkout with its commit: ``resnet_exp 0.1.0 (commit 0123456789ab, with changes)``."""
    code = git()
    commit = "" if code is None else f" (commit {code.commit[:12]}{', with changes' if code.dirty else ''})"
    return f"resnet_exp {__version__}{commit}"


def git() -> Git | None:
    """Commit of this checkout and whether it has changes; None outside a checkout."""
    root = Path(__file__).resolve().parent.parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit, status = (
            subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=True, timeout=20).stdout
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return Git(commit.strip(), bool(status.strip()))
