"""MDS shards of an image folder: made in this process or on the command line, and read."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from resnet_exp.data import streaming
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.streaming.files import MDSShards
from support.commands import Finished
from support.loaders import shard_settings, split_of
from support.warm import WarmPython


def prepare(photos: Path, cache: Path, **changes: Any) -> tuple[Path, Path]:
    """The folders of a tree: train, val."""
    train, val = MDSShards(**shard_settings(cache, **changes)).prepare(
        str(photos), ConversionOptions(2, lambda _: None)
    )
    return train, val


def open_shards(photos: Path, cache: Path, shards: dict[str, Any] | None = None, **changes: Any) -> Any:
    return streaming.make_loader(split_of(photos, **changes), **shard_settings(cache, **(shards or {})))


def line_of(folder: Path, *words: str, module: str = "resnet_exp.convert") -> list[str]:
    where = ["dataset=imagefolder", f"dataset.dir={folder / 'photos'}", f"data.cache_dir={folder / 'cache'}"]
    return [sys.executable, "-m", module, "data=streaming", *where, *words]


def run(python: WarmPython, folder: Path, *words: str, **environ: str) -> Finished:
    """``resnet_exp convert``, or another command line."""
    line = words if words and words[0] == sys.executable else line_of(folder, *words)
    return python.run(list(line[2:]), folder, {**os.environ, **environ}, timeout=200)
