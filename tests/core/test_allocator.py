"""What ranks that train on a CPU tell glibc's allocator."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from resnet_exp.core.machine import allocator
from resnet_exp.launch import run
from resnet_exp.launch.ranks import run_ranks
from resnet_exp.launch.rendezvous import Rendezvous
from resnet_exp.runs.folder import RunFolder
from support.configs import make_config

DATA = ("dataset=imagenet", "dataset.dir=/data")
FAULTS = """
import resource
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
taken = bytearray(64 << 20); del taken
before = faults(); taken = bytearray(64 << 20); print(faults() - before)
"""


@pytest.mark.parametrize("kept", [True, False])
def test_freed_memory_is_kept(kept: bool) -> None:
    environ = allocator.for_training({}) if kept else {}
    done = subprocess.run([sys.executable, "-c", FAULTS], env=environ, capture_output=True, text=True, check=True)
    assert (int(done.stdout) < 100) is kept, done.stdout


def test_what_the_user_says_stays() -> None:
    assert allocator.for_training({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}) == {}
    assert allocator.for_training({"MALLOC_TRIM_THRESHOLD_": "0"}) == {}


@pytest.mark.parametrize("hardware", ["cpu", "a100x1"])
def test_ranks_of_a_cpu_get_it(hardware: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "show"
    script.write_text("#!/bin/sh\necho $GLIBC_TUNABLES\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    settings = run._settings(make_config(*DATA, f"hardware={hardware}"))
    assert run_ranks(RunFolder(tmp_path), 1, Rendezvous(1, 0, "127.0.0.1", 29400), None, settings=settings) == 0
    told = RunFolder(tmp_path).rank_log(0).read_text().strip()
    assert told == (allocator.FOR_TRAINING if hardware == "cpu" else "")
