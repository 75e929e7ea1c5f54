"""Files that take the place of others: whole, and only when the disk has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from resnet_exp.core import files


def test_the_disk_has_a_file_before_its_name_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, synced = tmp_path / "weights.pt", []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        assert not path.exists()
        synced.append((os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    with files.replacing(path) as file:
        file.write(b"all of it")
    assert path.read_bytes() == b"all of it"
    assert synced == [(path.stat().st_ino, len(b"all of it"))]


def write_half(path: Path) -> None:
    with files.replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt


def test_what_was_there_stays_if_the_new_file_is_not_finished(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["weights.pt"])
