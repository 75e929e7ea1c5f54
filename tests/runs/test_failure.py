"""The line of an error: what it says, and where in a user's own code."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from resnet_exp.core.errors import RequestError
from resnet_exp.runs.failure import error_line
from resnet_exp.training.instantiate import build_entry


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "failing_class.py"
    path.write_text('class Mine:\n    def __init__(self, **settings):\n        self.key = settings["key"]\n')
    monkeypatch.syspath_prepend(tmp_path)  # pyright: ignore[reportUnknownMemberType]
    importlib.invalidate_caches()
    return path


def test_an_error_of_own_code_has_file_and_line(mine: Path) -> None:
    module = importlib.import_module("failing_class")
    with pytest.raises(KeyError) as raised:
        module.Mine()
    assert error_line(raised.value) == f"KeyError: 'key' ({mine}, line 3)"
    with pytest.raises(RequestError) as refused:
        build_entry("callbacks.mine", {"_target_": "failing_class.Mine"})
    assert (
        str(refused.value)
        == f"callbacks.mine: failing_class.Mine refuses its settings (KeyError: 'key') ({mine}, line 3)"
    )


def test_an_error_in_a_worker_too(mine: Path) -> None:
    text = f"""Caught KeyError in DataLoader worker process 0.
Original Traceback (most recent call last):
  File "{mine}", line 3, in __getitem__
    key
  File "{importlib.__file__}", line 1, in import_module
    pass
KeyError: 'key'
"""
    assert error_line(RuntimeError(text)) == f"RuntimeError: 'key' ({mine}, line 3)"


def test_own_code_is_found_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script such as ``resnet_exp evaluate`` has its own folder in the path in place of the current one."""
    (tmp_path / "only_here.py").write_text("class Mine: ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    assert type(build_entry("callbacks.mine", {"_target_": "only_here.Mine"})).__name__ == "Mine"
    with pytest.raises(RequestError, match=r"'nowhere'\); start from its folder, or add that to PYTHONPATH$"):
        build_entry("callbacks.mine", {"_target_": "nowhere.Mine"})
