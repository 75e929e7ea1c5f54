"""Tiny runs that train for real, for tests of what they write."""

from __future__ import annotations

import os
from pathlib import Path

from support.commands import TINY, Finished, command
from support.paths import TESTS
from support.warm import WarmPython

PHOTOS = (*TINY, "data=imagefolder", "dataset=imagefolder", "train_batch_size=4")
BATCHES, EPOCHS = 8, 2


def train(python: WarmPython, folder: Path, *arguments: str, **environ: str) -> Finished:
    """Train on the photographs of a folder."""
    own = {**os.environ, "PYTHONPATH": str(TESTS), "HOME": str(folder), **environ}
    words = command(folder, *PHOTOS, f"dataset.dir={folder / 'photos'}", *arguments)[2:]
    return python.run(words, folder, own, timeout=400)


def folders_of(runs: Path) -> dict[str, Path]:
    return {path.parent.name: path.parent for path in sorted(runs.glob("*/config.yaml"))}
