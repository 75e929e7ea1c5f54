"""The weights that a run starts from: ``init_from``. No torch: the file is only found, and its content named."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

from resnet_exp.core.errors import RequestError
from resnet_exp.runs.folder import RunFolder

TORCHVISION = "torchvision:"
# What `resnet_exp.export` writes into a folder.
EXPORTED = "model.safetensors"
BLOCK = 2**20


def weights_file(init_from: str) -> Path | None:
    """The file that ``init_from`` means; None for weights of torchvision.

    Args:
        init_from: a run folder, a folder that was exported, a file, or ``torchvision:NAME``.

    Raises:
        RequestError: there is no such file.
    """
    if init_from.startswith(TORCHVISION):
        return None
    path = Path(init_from)
    if not path.is_dir():
        if not path.is_file():
            raise RequestError(
                f"init_from={init_from} is not a file; use a run folder, a file of weights or torchvision:NAME"
            )
        return path
    run = RunFolder(path)
    found = next((file for file in (path / EXPORTED, run.weights) if file.is_file()), None)
    if found is None:
        way = f"use init_from={run.latest_checkpoint}" if run.latest_checkpoint.exists() else "name a finished run"
        raise RequestError(f"init_from={init_from} has no {run.weights.name}; {way}")
    return found


def label(init_from: str | None) -> str | None:
    """A short name of the weights, as results have it: of the run, the folder or the file; None for fresh ones."""
    return init_from if init_from is None or init_from.startswith(TORCHVISION) else Path(init_from).name


def digest(init_from: str) -> str:
    """16 hex digits of the content of the weights; of torchvision, which downloads them, the name.

    Raises:
        RequestError: there are none, or they cannot be read.
    """
    path = weights_file(init_from)
    if path is None:
        return init_from
    try:
        status = os.stat(path)
        return _digest(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise RequestError(
            f"init_from={init_from}: {path} cannot be read ({error.strerror}); use another file"
        ) from error


@cache
def _digest(path: Path, changed: int, size: int) -> str:
    # Cached: all runs of a sweep start from the same file.
    found = hashlib.blake2b(digest_size=8)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()
