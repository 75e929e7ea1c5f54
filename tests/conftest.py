"""Shared fixtures: the real command line in a subprocess, and a tiny folder of real photographs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import psutil
import pytest
from browser import browser as browser
from browser import tab as tab
from slurm_cluster import slurm as slurm

# The smallest run that trains, evaluates and saves: a few seconds on two cores after the imports.
TINY = (
    "hardware=cpu",
    "model=resnet14",
    "train_batch_size=8",
    "eval_batch_size=8",
    "resolution.train=32",
    "resolution.eval_resize=40",
    "resolution.eval_crop=32",
    "data.num_workers=0",
    "optimizer.lr=0.01",
    "ssr=0.0223",
)

# Files of minutes, the longest first: none of them shall begin when the others are done.
LONGEST = (
    "test_slurm",
    "test_run",
    "test_tracking",
    "test_ranks",
    "test_resume",
    "test_bad_runs",
    "test_traces",
    "test_sweep_tracker",
)

Finished = subprocess.CompletedProcess[str]


class RunCli(Protocol):
    """``run_cli("recipe=hot", timeout=60)``: the finished process, its output as text."""

    def __call__(self, *args: str, timeout: float = 120, module: str = "resnet_exp") -> Finished:
        """Run ``python -m module args`` in the test's folder; a hang fails the test."""
        ...


PhotoTree = Callable[..., Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the longest files handed out first; see `LONGEST`."""
    order = {f"{name}.py": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def command(folder: Path, *args: str) -> list[str]:
    """The command line of a run that writes below `folder` only; `args` may set the same keys anew."""
    places = [f"runs_dir={folder / 'runs'}", f"data.cache_dir={folder / 'cache'}"]
    return [sys.executable, "-m", "resnet_exp", *places, *args]


def words_of(process: psutil.Process) -> list[str]:
    """The command line of a process; empty for one that has ended, waited for or not."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def left_running(folder: Path) -> list[list[str]]:
    """Command lines of the processes that work in `folder`."""
    return [line for line in map(words_of, psutil.process_iter()) if str(folder) in " ".join(line)]


@pytest.fixture
def run_cli(tmp_path: Path) -> RunCli:
    """Run the command line in `tmp_path`: runs in ``runs``, caches in ``cache``."""

    def run(*args: str, timeout: float = 120, module: str = "resnet_exp") -> Finished:
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


def write_photos(root: Path) -> Path:
    """Write an image folder of 40 real images: two classes, 16 to train and 4 to evaluate each."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    for label in ("china", "flower"):
        photo = Image.fromarray(load_sample_image(f"{label}.jpg"))
        width, height = photo.width // 5, photo.height // 4
        for number in range(20):
            left, top = number % 5 * width, number // 5 * height
            folder = root / ("val" if number % 5 == 0 else "train") / label
            folder.mkdir(parents=True, exist_ok=True)
            tile = photo.crop((left, top, left + width, top + height)).resize((64, 56))
            tile.save(folder / f"{number:02d}.jpg")
    return root
