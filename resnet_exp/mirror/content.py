"""The hash by which a mirror knows a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def digest_of(parts: Iterable[bytes]) -> str:
    """Hash of a content that comes in parts."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(part)
    return found.hexdigest()


def digest_of_file(path: Path) -> str:
    """Hash of a file."""
    with path.open("rb") as file:
        return digest_of(iter(lambda: file.read(2**20), b""))
