"""One real sweep for all tests that look at what finished runs have left behind: the fixture ``trained_sweep``."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.commands import Finished
from support.photos import write_photos
from support.training import train
from support.warm import WarmPython

NAME = "two"
USD_PER_HOUR = 3.6
ASKED = (
    *("-m", "hydra/launcher=submitit_local", "hydra.launcher.parallel=2", f"sweep={NAME}", "recipe=mild", "seed=1,2"),
    "+algorithms=mixup",
    *("loggers=[progress,wandb]", "loggers.wandb.artifacts=[result]"),
    *(f"hardware.usd_per_node_hour={USD_PER_HOUR}", "hardware.price_date=2026-11-22"),
)


@dataclass(frozen=True)
class TrainedSweep:
    """Two runs that differ in their seed, trained side by side; nobody is logged in to W&B. To be read only."""

    folder: Path
    python: WarmPython

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def output(self) -> Path:
        """What the command has printed; there once it is done."""
        return self.folder / "output"

    def train(self) -> Finished:
        """Give the command, once or again."""
        return train(self.python, self.folder, *ASKED)


@pytest.fixture(scope="session")
def trained_sweep(tmp_path_factory: pytest.TempPathFactory, warm_training: WarmPython) -> TrainedSweep:
    """The sweep, trained by whoever needs it first: workers of pytest-xdist share it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    sweep = TrainedSweep(shared / "trained_sweep", warm_training)
    sweep.folder.mkdir(exist_ok=True)
    with (sweep.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not sweep.output.exists():
            write_photos(sweep.folder / "photos")
            done = sweep.train()
            assert done.returncode == 0, done.stdout + done.stderr
            sweep.output.write_text(done.stdout)
    return sweep
