"""Conversions that are disturbed: much to convert, its processes, and a flipped bit."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from support.commands import Finished, left_running, words_of
from support.warm import WarmPython

RunConvert = Callable[..., Finished]
WRITER = "resnet_exp.data.writer"


def line_of(folder: Path, *args: str) -> list[str]:
    """The command line that converts a folder's ``photos``."""
    where = [f"dataset.dir={folder / 'photos'}", f"data.cache_dir={folder / 'cache'}"]
    return [sys.executable, "-m", "resnet_exp.convert", "dataset=imagefolder", *where, *args]


@pytest.fixture
def run_convert(warm_python: WarmPython, tmp_path: Path) -> RunConvert:
    """Convert ``photos`` of the test's folder, on the command line."""
    return lambda *args: warm_python.run(line_of(tmp_path, *args)[2:], tmp_path, timeout=300)


@pytest.fixture
def leaves_nothing(tmp_path: Path) -> Iterator[None]:
    """Look for processes that a test may have left."""
    yield
    assert left_running(tmp_path) == []


def files_in(folder: Path) -> list[str]:
    """Names of all files below a folder."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def picture(width: int, height: int) -> Image.Image:
    columns = np.linspace(0, 255, width).astype(np.uint8)
    return Image.fromarray(np.broadcast_to(columns[None, :, None], (height, width, 3)).copy())


def many_photos(photos: Path, count: int, large: Image.Image | None = None) -> None:
    """Enough work that a conversion can be interrupted in its middle."""
    large = large or picture(900, 700)
    for name in ("china", "flower"):
        large.save(photos / "train" / name / "large.jpg", quality=95)
        for number in range(count // 2):
            os.link(photos / "train" / name / "large.jpg", photos / "train" / name / f"large{number:04d}.jpg")


def wait_for(condition: Callable[[], Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def processes_of(started: subprocess.Popen[str], module: str) -> list[psutil.Process]:
    children = psutil.Process(started.pid).children(recursive=True)
    return [child for child in children if module in words_of(child)]


def damage(file: Path, at: int) -> None:
    with file.open("r+b") as content:
        content.seek(at)
        byte = content.read(1)
        content.seek(at)
        content.write(bytes([byte[0] ^ 1]))
