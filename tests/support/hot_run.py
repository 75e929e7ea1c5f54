"""One run of Hot for all tests that use a trained model: BlurPool, stochastic depth, EMA; the fixture ``hot_run``."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from resnet_exp.runs.folder import RunFolder
from support.photos import write_photos
from support.training import train
from support.warm import WarmPython

# So early that the few batches are averaged.
AVERAGED = ("algorithms.ema.half_life=4ba", "algorithms.ema.update_interval=2ba")
ASKED = ("recipe=hot", "data=ffcv", "run_id=hot", "keep_checkpoints=true", "optimizer.lr=0.05", *AVERAGED)


@pytest.fixture(scope="session")
def hot_run(tmp_path_factory: pytest.TempPathFactory, warm_training: WarmPython) -> RunFolder:
    """A finished run on FFCV files, trained by whoever needs it first; to be read only."""
    base = tmp_path_factory.getbasetemp()
    folder: Path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "hot_run"
    folder.mkdir(exist_ok=True)
    run = RunFolder(folder / "runs" / "hot")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not run.result.exists():
            write_photos(folder / "photos")
            done = train(warm_training, folder, *ASKED)
            assert done.returncode == 0, done.stdout + done.stderr
    return run
