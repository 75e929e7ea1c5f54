"""Converted images that another conversion has superseded, and what is left of conversions that were given up."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from resnet_exp.cleaning.item import CONVERSION, PARTIAL, REMOVED, Item
from resnet_exp.core.errors import RequestError
from resnet_exp.data import formats
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion import reuse
from resnet_exp.data.conversion.cache import ConversionRequest
from resnet_exp.data.conversion.files import ConvertedFiles
from resnet_exp.data.images import image_tree

# A folder of converted images ends in the hashes of its request and of the state of the images.
CONVERTED = re.compile(r"(.+-[0-9a-f]{8})-[0-9a-f]{8}")
LOCK = ".lock"


def superseded(cache: Path) -> Iterator[Item]:
    """Conversions in a cache beside which there is a newer one of the same image folder, with the same settings.

    One that is the only conversion of its images stays, and so does one that a copy of the image folder uses.
    """
    for kind in _kinds():
        for folder in sorted((cache / kind.kind.name).glob("*")):
            if (found := CONVERTED.fullmatch(folder.name)) is not None:
                yield from _superseded(cache, kind, folder, folder.with_name(f".{found[1]}"))


def _superseded(cache: Path, kind: type[ConvertedFiles], folder: Path, work: Path) -> Iterator[Item]:
    for split in image_tree.SPLITS:
        place = folder / f"{split}{kind.kind.suffix}"
        # Damaged, or its images are gone: it may be all that there is.
        with contextlib.suppress(RequestError, OSError):
            request = _request(cache, kind, place)
            if request is None or request.work_folder != work or not request.place(split).exists():
                continue
            if place in reuse.others(request, split) and not _is_named_by_others(place, split, work):
                why = f"superseded by {request.place(split)}"
                yield Item(CONVERSION, why, (place, manifests.path_of(place)), work / LOCK)


def _kinds() -> list[type[ConvertedFiles]]:
    return [files for _, files in formats.converted()]


def _request(cache: Path, kind: type[ConvertedFiles], place: Path) -> ConversionRequest | None:
    """What was asked for when `place` was converted; None if that is not known, or its images are gone."""
    manifest = manifests.read_manifest(place, kind.manifest) if place.exists() else None
    root = None if manifest is None else Path(manifest.source.folder).parent
    if manifest is None or root is None or not all((root / split).is_dir() for split in image_tree.SPLITS):
        return None
    content = {name: manifest.settings.get(name) for name in kind.kind.content}
    return ConversionRequest(kind.kind, str(root), str(cache), content)


def _is_named_by_others(place: Path, split: str, work: Path) -> bool:
    """Whether another image folder of the same content uses a conversion: see `ConversionRequest.name`."""
    notes = (note for note in place.parent.parent.glob(f".*/{split}-*") if note.parent != work)
    return any(note.resolve() == place.resolve() for note in notes)


def partial(cache: Path) -> Iterator[Item]:
    """What interrupted conversions and removals have left in a cache, if no process converts there."""
    for kind in _kinds():
        base = cache / kind.kind.name
        for work in sorted(path for path in base.glob(".*") if path.is_dir() and not path.name.endswith(REMOVED)):
            left = tuple(sorted(work.glob("*.partial*")))
            if left:
                yield Item(PARTIAL, "of a conversion that did not end", left, work / LOCK)
        for doomed in sorted([*base.glob(f".*{REMOVED}"), *base.glob(f"*/.*{REMOVED}")]):
            yield Item(PARTIAL, "of a removal that did not end", (doomed,))
