"""The compiled code of the loaders, made once for all workers: each would take most of a minute for it."""

from __future__ import annotations

import fcntl
import os

import pytest

from support.photos import write_photos


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Have the first who asks compile what loads FFCV files and shards; the others wait, and read what numba keeps."""
    from support.loaders import epoch_of, open_loader

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / "compiled.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        epoch_of(open_loader("raw", write_photos(tmp_path_factory.mktemp("compiled") / "photos")), 0)
