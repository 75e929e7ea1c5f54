"""Caches that are made or fetched again when they are needed: compiled code, and copies of remote files."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from resnet_exp.cleaning.conversions import CONVERTED
from resnet_exp.cleaning.item import CACHE, Item
from resnet_exp.core import paths
from resnet_exp.data.parquet import storage
from resnet_exp.data.streaming import mds
from resnet_exp.data.streaming.files import KIND

# What numba 0.68.1 keeps of a function: an index, and a file for each kind of arguments.
NUMBA_FILES = ("*.nbi", "*.nbc")
KERNELS = paths.PACKAGE / "data" / "kernels"


def of_cache(cache: Path) -> Iterator[Item]:
    """Caches in one ``data.cache_dir``: code that ``speed=fast`` compiled, and files of object stores."""
    compiled = cache / "inductor"
    if compiled.is_dir():
        yield Item(CACHE, "code that speed=fast compiled", (compiled,))
    for folder in sorted((cache / KIND.name).glob("*")):
        if CONVERTED.fullmatch(folder.name) is None and any(folder.glob(f"*/{mds.INDEX}")):
            yield Item(CACHE, "copies of the shards of an object store", (folder,))
    for folder in sorted((cache / storage.CACHE).glob("*")):
        yield Item(CACHE, "copies of the Parquet files of an object store", (folder,))


def of_user() -> Iterator[Item]:
    """Caches of this user on this machine: numba's and torch's compiled code."""
    torch = Path(tempfile.gettempdir()) / f"torchinductor_{_user_name()}"
    if torch.is_dir() and torch.stat().st_uid == os.getuid():
        yield Item(CACHE, "code that torch compiled for an evaluation", (torch,))
    for folder in _numba_folders():
        if files := tuple(sorted(file for pattern in NUMBA_FILES for file in folder.glob(pattern))):
            yield Item(CACHE, "code that numba compiled for the loaders", files)


def _user_name() -> str:
    """As torch writes it; empty for a user without a name, for whom torch keeps nothing."""
    with contextlib.suppress(OSError, KeyError):
        return re.sub(r'[\\/:*?"<>|]', "_", getpass.getuser())
    return ""


def _numba_folders() -> list[Path]:
    """Where numba may keep the code of the loaders: in the package, in the user's cache, or where the user said."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numba"
    named = os.environ.get("NUMBA_CACHE_DIR")
    below = [folder for base in (home, *([Path(named)] if named else [])) for folder in sorted(base.glob("kernels_*"))]
    return [KERNELS / "__pycache__", *below]
