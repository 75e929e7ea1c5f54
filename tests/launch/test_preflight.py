"""What a run notes of its machine before it starts; tests/diagnosis/test_doctor.py has the rest."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from resnet_exp.config.checks import workers
from resnet_exp.core.terminal.finding import Finding
from resnet_exp.launch import preflight
from support.configs import make_config

NOTE = Finding(
    "shared memory", "note", "/dev/shm has 67.1 MB free, through which NCCL connects GPUs",
    "start the container with --shm-size=1g or more, or --ipc=host",
)  # fmt: skip


@pytest.mark.parametrize(
    ("hardware", "free", "noted"),
    [("a100x8", 64 * 2**20, True), ("a100x8", 2**30, False), ("a100x1", 64 * 2**20, False), ("cpu", 2**20, False)],
)
def test_nccl_needs_shared_memory_too(monkeypatch: pytest.MonkeyPatch, hardware: str, free: int, noted: bool) -> None:
    """FFCV files are loaded by threads, so that Docker's default is enough for them."""
    config = make_config("recipe=mild", "dataset=imagenet", "dataset.dir=/data", f"hardware={hardware}")

    def usage(path: Path) -> SimpleNamespace:
        assert path == workers.SHARED
        return SimpleNamespace(free=free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    (found,) = preflight._shared_memory(config)
    assert (found == NOTE) == noted and (found.state == "note") == noted
