"""Processes that end with their parents."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# The child waits for the end of its parent, and only then asks to end with it.
ORPHAN = """
import os, signal, time
from resnet_exp.core.machine.processes import die_with_parent
signal.signal(signal.SIGTERM, lambda number, frame: None)
parent = os.getpid()
if os.fork():
    os._exit(0)
while os.getppid() == parent:
    time.sleep(0.001)
die_with_parent(signal.{number}, parent)
print("outlived its parent", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_ends_whose_parent_ended_before_it_asked_for_that(number: signal.Signals) -> None:
    words = [sys.executable, "-c", ORPHAN.format(number=number.name)]
    # Returns when the child has closed its standard output, too.
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
