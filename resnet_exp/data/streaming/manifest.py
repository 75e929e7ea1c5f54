"""The manifest beside a folder of MDS shards: what all manifests have, and a hash of the index.

The index itself has size and hash of every shard.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from resnet_exp.core.terminal.text import printable
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.manifest import FIX, SCHEMA, Content, Manifest, ManifestMismatch
from resnet_exp.data.streaming import mds

# Shards that are checked when a run starts.
SAMPLED_SHARDS = 2


@dataclass(frozen=True)
class MDSManifest(Manifest):
    """What the manifest of a folder of shards says; `index` is a hash of the index."""

    title: ClassVar[str] = "MDS folder"
    index: str


def describe(folder: Path, content: Content) -> MDSManifest:
    """The manifest of a folder that has its index."""
    return MDSManifest(
        schema=SCHEMA,
        format="mds",
        format_version=mds.VERSION,
        images=sum(content.class_images),
        checksum=mds.HASH,
        index=_hash(folder),
        **vars(content),
    )


def _hash(folder: Path) -> str:
    return hashlib.new(mds.HASH, (folder / mds.INDEX).read_bytes()).hexdigest()


def read_manifest(folder: Path) -> MDSManifest | None:
    """The manifest of a folder; None if it has none; raises `ManifestMismatch` if it cannot be used."""
    return manifests.read_manifest(folder, MDSManifest)


def check_index(folder: Path, manifest: MDSManifest, fix: str) -> None:
    """Check that the index is the one that the manifest describes.

    Raises:
        ManifestMismatch: it is not.
    """
    try:
        found = _hash(folder)
    except OSError as error:
        raise ManifestMismatch(f"{printable(folder / mds.INDEX)} cannot be read ({error.strerror}); {fix}") from error
    if found != manifest.index:
        raise ManifestMismatch(f"{printable(folder / mds.INDEX)} is not what was written; {fix}")


def check_quickly(folder: Path, index: mds.Index, fix: str) -> None:
    """Check the sizes of all shards, and every byte of some.

    Raises:
        ManifestMismatch: names a shard.
    """
    for shard in index.shards:
        path = folder / shard.name
        if not path.is_file() or path.stat().st_size != shard.bytes:
            raise ManifestMismatch(f"MDS shard {printable(path)} {mds.fault(path, shard)}; {fix}")
    for shard in random.sample(index.shards, min(SAMPLED_SHARDS, len(index.shards))):
        _check(folder, shard, fix)


def check_fully(folder: Path, index: mds.Index, tell: Callable[[int, int], None]) -> None:
    """Check every byte of all shards; `tell` takes how many bytes of how many have been read.

    Raises:
        ManifestMismatch: names the first shard that is damaged.
    """
    done = 0
    for shard in index.shards:
        _check(folder, shard, FIX)
        done += shard.bytes
        tell(done, index.bytes)


def _check(folder: Path, shard: mds.Shard, fix: str) -> None:
    path = folder / shard.name
    if (fault := mds.fault(path, shard)) is not None:
        raise ManifestMismatch(f"MDS shard {printable(path)} {fault}; {fix}")
