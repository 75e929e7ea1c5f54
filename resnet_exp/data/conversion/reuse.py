"""Converted images of the same content: found under whatever name an earlier conversion gave them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from resnet_exp.core.terminal.text import byte_size, printable
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.cache import ConversionRequest
from resnet_exp.data.conversion.manifest import Manifest, ManifestMismatch
from resnet_exp.data.conversion.process import Say
from resnet_exp.data.images import fingerprint, image_tree
from resnet_exp.data.images.fingerprint import SplitState


def find_converted(request: ConversionRequest, split: str, of: type[Manifest], say: Say) -> None:
    """Let `request.place` name the converted images of a split that have the content of the image folder.

    Names, sizes and content of the images decide, not the times of folders, nor where the folder lies.

    Raises:
        ManifestMismatch: the images have changed since, and the times of the class folders do not tell.
        RequestError: the image folder cannot be read, or the cache cannot be written.
    """
    place, folder = request.place(split), Path(request.root) / split
    if place.exists():
        manifest = manifests.read_manifest(place, of)
        if manifest is not None and manifest.source.state is None:
            _complete(place, manifest, folder)
        elif manifest is not None and manifest.source.state is not None and _is_deep(manifest.source.state):
            manifests.check_all_sources(place, manifest, folder)
        return
    state = fingerprint.scan_split(folder).state
    for candidate in _candidates(request, split):
        with contextlib.suppress(ManifestMismatch):
            manifest = manifests.read_manifest(candidate, of)
            if manifest is not None and _is_same(manifest, request, folder, state):
                request.name(split, candidate)
                say(f"{candidate.name}: {printable(candidate)} was converted from the same images")
                break


def _is_deep(state: SplitState) -> bool:
    """Whether images lie in folders below those of the classes, whose times do not tell that they were added."""
    return any(name.count("/") > 1 for name, *_ in state.sampled)


def _complete(place: Path, manifest: Manifest, folder: Path) -> None:
    """Add to a manifest of an earlier version what the images are, if they are still those."""
    manifests.check_all_sources(place, manifest, folder)
    state = fingerprint.scan_split(folder).state
    # A cache that is only read stays as it is.
    with contextlib.suppress(OSError):
        manifests.write_manifest(place, replace(manifest, source=replace(manifest.source, state=state)))


def _candidates(request: ConversionRequest, split: str) -> list[Path]:
    """Converted images of a split in the cache, the newest first."""
    found = [path for path in request.folder.glob(f"*/{split}{request.kind.suffix}") if path.exists()]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _is_same(manifest: Manifest, request: ConversionRequest, folder: Path, state: SplitState) -> bool:
    if {key: manifest.settings.get(key) for key in request.content} != request.content:
        return False
    before = manifest.source.state
    if before is not None:
        return before.fingerprint == state.fingerprint and fingerprint.has_same_content(state, folder, before)
    if manifest.classes != image_tree.class_names(folder) or manifest.source.images != sum(state.class_images):
        return False
    return manifest.source.fingerprint == manifests.times_fingerprint(list(image_tree.files(folder)))


def superseded(request: ConversionRequest, splits: list[str]) -> str | None:
    """A line about conversions of the folder, with these settings, that are not in use any more; None if all are."""
    places = [path for split in splits for path in others(request, split)]
    if not places:
        return None
    shown = ", ".join(f"{printable(path)} ({byte_size(_bytes(path))})" for path in places)
    return f"note: superseded by other conversions of {printable(request.root)}: {shown}; resnet_exp clean removes them"


def others(request: ConversionRequest, split: str) -> Iterator[Path]:
    """Conversions of a split of the folder, with these settings, beside the one that is used now."""
    current = request.place(split)
    for path in request.earlier(split):
        if path.exists() and path.resolve() != current.resolve():
            yield path


def _bytes(place: Path) -> int:
    return sum(file.stat().st_size for file in (place.iterdir() if place.is_dir() else [place]))
