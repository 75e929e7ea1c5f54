"""Damaged and hostile JPEGs: they are decoded within the memory for them, or as libjpeg-turbo does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("compiled")


def test_memory() -> None:
    """Nothing beside the memory is read or written, whatever a file says: that would end the process."""
    command = [sys.executable, "-m", "support.damaged_jpegs", "7", "4000"]
    run = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert run.returncode == 0, (run.returncode, run.stderr)
    assert all(int(count) > 2000 for count in run.stdout.split())
