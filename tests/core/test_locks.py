"""Locks: one holder, waiters that say so, and children that keep what they inherit."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import writing
from resnet_exp.core.locks import held_lock, is_locked, open_lock, try_lock


def test_a_waiter_says_so_and_goes_on_when_the_lock_is_free(tmp_path: Path) -> None:
    path, waiting, events = tmp_path / "made" / ".lock", threading.Event(), list[str]()

    def wait() -> None:
        with held_lock(open_lock(path), waiting.set):
            events.append("second")

    with held_lock(open_lock(path), lambda: events.append("waited for nobody")):
        second = threading.Thread(target=wait)
        second.start()
        assert waiting.wait(300)
        events.append("first")
    second.join(300)
    assert events == ["first", "second"] and not is_locked(path)


def test_children_that_inherit_a_lock_keep_it(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    descriptor = open_lock(path)
    with held_lock(descriptor):
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(descriptor,), text=True
        )
    other = open_lock(path)
    assert is_locked(path) and not try_lock(other)
    child.communicate("\n")
    assert not is_locked(path) and try_lock(other)
    os.close(other)


def test_what_cannot_be_written_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestError) as refused, writing("runs_dir=x"):
        open_lock(tmp_path / "file" / "below" / ".lock")
    assert str(refused.value) == "runs_dir=x cannot be written (Not a directory); set runs_dir=PATH"
    with pytest.raises(RequestError) as refused, writing("-o x", "give another folder"):
        raise OSError("full")
    assert str(refused.value) == "-o x cannot be written (full); give another folder"
