"""Fixtures of all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from resnet_exp.core.machine.processes import variables_kept
from resnet_exp.launch.ranks import RENDEZVOUS
from support.browser import browser as browser
from support.browser import desktop as desktop
from support.browser import tab as tab
from support.commands import TINY, Finished, RunCli, command
from support.compiled import compiled as compiled
from support.explorer_page import page_file as page_file
from support.hot_run import hot_run as hot_run
from support.object_store import store as store
from support.photos import PhotoTree, write_photos
from support.slurm_cluster import slurm as slurm
from support.ssh_host import ssh_host as ssh_host
from support.trained_sweep import trained_sweep as trained_sweep
from support.warm import train_cli as train_cli
from support.warm import warm_cli as warm_cli
from support.warm import warm_python as warm_python
from support.warm import warm_training as warm_training

# A busy machine is not a failure.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# Files of minutes, the longest first: none of them shall begin when the others are done.
LONGEST = (
    "sweep/test_slurm",  # of `make soak`
    "loggers/test_wandb_faults",
    "data/test_loaders",
    "reporting/test_explorer",
    "reporting/test_explorer_use",
    "planning/test_plan",
    "launch/test_bad_runs",
    "sweep/test_frontier_tracker",
    "sweep/test_sweeps",
    "launch/test_ranks",
    "training/test_run",
    "training/test_resume",
    "data/test_conversion_faults",
    "data/test_conversion_interrupted",
    "config/test_bad_requests",
    "training/test_traces",
    "training/test_compilation",
    "diagnosis/test_doctor",
    "sweep/test_composition",
    "reporting/test_report",
    "data/test_conversion",
    "data/test_streaming",
    "data/test_object_store",
    "loggers/test_wandb",
    "tracking/test_publish",
    "training/test_lazy_imports",
    "config/test_config",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the longest files handed out first; see `LONGEST`."""
    order = {f"{name}.py": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get("/".join(item.path.parts[-2:]), len(order)))


@pytest.fixture(autouse=True)
def rank_left() -> Iterator[None]:
    """Fail a test that leaves a rank in the environment: what later tests start would take itself for it."""
    before = {name: os.environ.get(name) for name in RENDEZVOUS}
    with variables_kept(RENDEZVOUS):
        yield
        left = {name: os.environ.get(name) for name in RENDEZVOUS if os.environ.get(name) != before[name]}
    assert not left, f"the test leaves {left} in os.environ; support.in_process.build_training does not"


@pytest.fixture
def run_cli(tmp_path: Path) -> RunCli:
    """Run the command line in `tmp_path`: runs in ``runs``, caches in ``cache``."""

    def run(*args: str, timeout: float = 300, module: str = "resnet_exp") -> Finished:
        line = command(tmp_path, *args) if module == "resnet_exp" else [sys.executable, "-m", module, *args]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=timeout)

    return run


@pytest.fixture
def tiny() -> list[str]:
    """Overrides that make a run tiny; needs ``dataset=imagefolder dataset.dir=photo_tree()``."""
    return list(TINY)


@pytest.fixture
def photo_tree(tmp_path: Path) -> PhotoTree:
    """Write the image folder of `write_photos` and return it."""
    return lambda name="photos": write_photos(tmp_path / name)
