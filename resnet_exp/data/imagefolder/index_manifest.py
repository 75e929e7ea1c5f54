"""The manifest beside an index of image files: what all manifests have, and size and checksum of each part."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from resnet_exp.core.terminal.text import printable
from resnet_exp.data.conversion.manifest import SCHEMA, Content, Manifest, ManifestMismatch
from resnet_exp.data.imagefolder import index

VERSION = 1
# Parts that are read when a run starts.
SAMPLED_PARTS = 2


@dataclass(frozen=True)
class IndexManifest(Manifest):
    """What the manifest of an index says; `parts` are bytes and CRC-32 of each."""

    title: ClassVar[str] = "index"
    parts: list[tuple[int, int]]


def describe(folder: Path, content: Content) -> IndexManifest:
    """The manifest of a folder that has all parts."""
    images = sum(content.class_images)
    contents = ((folder / index.name_of(number)).read_bytes() for number in range(-(-images // index.IMAGES_A_PART)))
    return IndexManifest(
        schema=SCHEMA,
        format="index",
        format_version=VERSION,
        images=images,
        checksum="crc32",
        parts=[(len(part), zlib.crc32(part)) for part in contents],
        **vars(content),
    )


def check_quickly(folder: Path, manifest: IndexManifest) -> None:
    """Check the sizes of all parts, and every byte of some.

    Raises:
        ManifestMismatch: names a part.
    """
    for number, (size, _) in enumerate(manifest.parts):
        path = folder / index.name_of(number)
        if not path.is_file() or path.stat().st_size != size:
            raise ManifestMismatch(
                f"part {printable(path)} of an index is missing or has another size; {index.fix(folder)}"
            )
    for number in random.sample(range(len(manifest.parts)), min(SAMPLED_PARTS, len(manifest.parts))):
        _check(folder, manifest, number)


def check_fully(folder: Path, manifest: IndexManifest, tell: Callable[[int, int], None]) -> None:
    """Check every byte of all parts; `tell` takes how many bytes of how many have been read.

    Raises:
        ManifestMismatch: names the first part that is damaged.
    """
    done, whole = 0, sum(size for size, _ in manifest.parts)
    for number, (size, _) in enumerate(manifest.parts):
        _check(folder, manifest, number)
        done += size
        tell(done, whole)


def _check(folder: Path, manifest: IndexManifest, number: int) -> None:
    path = folder / index.name_of(number)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ManifestMismatch(f"{printable(path)} cannot be read ({error.strerror}); {index.fix(folder)}") from error
    if (len(content), zlib.crc32(content)) != tuple(manifest.parts[number]):
        raise ManifestMismatch(f"part {printable(path)} of an index is damaged; {index.fix(folder)}")
