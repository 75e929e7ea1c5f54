"""The manifest beside converted images, whatever their format: what they are, and which images they were made from.

``PLACE.json`` beside the file or folder ``PLACE``; keys: docs/data-checks.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import read_json, write_json
from resnet_exp.core.records import from_json
from resnet_exp.core.terminal.text import printable
from resnet_exp.data.images import fingerprint, image_tree
from resnet_exp.data.images.fingerprint import SplitState
from resnet_exp.data.images.image_tree import ImageFile

SCHEMA = 1
FIX = "remove it to write it again"


class ManifestMismatch(RequestError):
    """Converted images are not what their manifest describes, or the manifest cannot be read."""


@dataclass(frozen=True)
class Origin:
    """What images were made from.

    Attributes:
        folder: of the image files.
        images: how many they were.
        fingerprint: as of `times_fingerprint`.
        sampled: some of them: path below the folder, bytes, time of change.
        state: what they were; None in manifests of an earlier version.
    """

    folder: str
    images: int
    fingerprint: str
    sampled: list[tuple[str, int, int]]
    state: SplitState | None = None


@dataclass(frozen=True)
class Manifest:
    """What manifests of every format say; times of change in nanoseconds. `title` begins what is said of a place."""

    title: ClassVar[str]
    schema: int
    format: str
    format_version: int
    images: int
    classes: list[str]
    class_images: list[int]
    settings: dict[str, object]
    source: Origin
    skipped: list[list[str]]
    checksum: str


Of = TypeVar("Of", bound=Manifest)


@dataclass(frozen=True)
class Content:
    """What a conversion says of its images, for the manifest; see `Manifest`."""

    settings: dict[str, object]
    classes: list[str]
    class_images: list[int]
    source: Origin
    skipped: list[list[str]]


def path_of(place: Path) -> Path:
    """The manifest of a file or folder."""
    return place.with_name(f"{place.name}.json")


def origin_of(folder: Path, classes: list[str], sources: list[ImageFile]) -> Origin:
    """What images were made from: hashes of all names, sizes and times, and some of the images one by one."""
    state = fingerprint.state_of(folder, classes, sources)
    return Origin(
        folder=str(folder),
        images=len(sources),
        fingerprint=times_fingerprint(sources),
        sampled=[(name, size, changed) for name, size, changed, _ in state.sampled],
        state=state,
    )


def times_fingerprint(sources: list[ImageFile]) -> str:
    """Hash of the names, sizes and times of change of all images of a split, in their order."""
    digest = hashlib.blake2b(digest_size=16)
    for source in sources:
        digest.update(source.key.encode())
    return digest.hexdigest()


def write_manifest(place: Path, manifest: Manifest) -> None:
    """Write the manifest of `place`, sealed so that damage to it is noticed."""
    content = asdict(manifest)
    write_json(path_of(place), {**content, "seal": _seal(content)})


def read_manifest(place: Path, of: type[Of]) -> Of | None:
    """The manifest of a place, of the kind `of`; None if it has none.

    Raises:
        ManifestMismatch: there is one, and it cannot be used.
    """
    path = path_of(place)
    fix = f"remove it and {printable(place)} to write both again"
    try:
        content = read_json(path)
    except RequestError as error:
        raise ManifestMismatch(f"{printable(path)} is damaged; {fix}") from error
    if content is None:
        return None
    if content.get("schema") != SCHEMA:
        raise ManifestMismatch(f"{printable(path)} is of another version; {fix}")
    seal = content.pop("seal", None)
    if seal != _seal(content):
        raise ManifestMismatch(f"{printable(path)} is damaged (it is not what was sealed); {fix}")
    try:
        return from_json(of, content)
    except ValueError:
        raise ManifestMismatch(f"{printable(path)} is of format {content.get('format')}; {fix}") from None


def _seal(content: Mapping[str, object]) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def check_origin(place: Path, manifest: Manifest, settings: Mapping[str, object], folder: Path) -> None:
    """Check that images were converted with these settings from those of a folder, and that these are still the same.

    Raises:
        ManifestMismatch: says what differs.
    """
    what, classes = f"{manifest.title} {printable(place)}", image_tree.class_names(folder)
    for key, wanted in settings.items():
        if (found := manifest.settings.get(key)) != wanted:
            raise ManifestMismatch(f"{what} was written with {key}={found}, not {key}={wanted}; {FIX}")
    if manifest.classes != classes:
        raise ManifestMismatch(f"{what} is of another dataset: {_difference(manifest.classes, classes)}; {FIX}")
    check_source(place, manifest, folder)


def check_class_count(place: Path, manifest: Manifest, classes: int | None) -> None:
    """Check that there are as many classes as a run expects; None: any number.

    Raises:
        ManifestMismatch: says how many there are.
    """
    if classes is not None and len(manifest.classes) != classes:
        raise ManifestMismatch(
            f"{manifest.title} {printable(place)} has {len(manifest.classes)} classes, dataset.num_classes={classes}; "
            f"name another one or set dataset.num_classes={len(manifest.classes)}"
        )


def check_classes_agree(train: tuple[Path, Manifest], val: tuple[Path, Manifest]) -> None:
    """Check that both halves of a dataset have the same classes in the same order.

    Raises:
        ManifestMismatch: names a class.
    """
    if train[1].classes != val[1].classes:
        raise ManifestMismatch(
            f"{train[1].title}s {printable(train[0])} and {printable(val[0])} have different classes: "
            f"{_difference(train[1].classes, val[1].classes)}; name two of one dataset"
        )


def _difference(ours: list[str], theirs: list[str]) -> str:
    if len(ours) != len(theirs):
        return f"{len(ours)} and {len(theirs)} of them"
    number = next(number for number, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1])
    return f"number {number} is {printable(ours[number])} and {printable(theirs[number])}"


def manifest_summary(place: Path, of: type[Manifest]) -> dict[str, object]:
    """What the record of a run says of a place; empty without a manifest."""
    manifest = read_manifest(place, of)
    if manifest is None:
        return {}
    return {"images": manifest.images, "source": manifest.source.fingerprint, "seal": _seal(asdict(manifest))}


def check_source(place: Path, manifest: Manifest, folder: Path) -> None:
    """Check some of the images that were converted: none may have changed.

    Raises:
        ManifestMismatch: names an image.
    """
    state = manifest.source.state
    sampled = state.sampled if state is not None else [(*each, None) for each in manifest.source.sampled]
    if (changed := fingerprint.changed_image(folder, sampled)) is not None:
        raise ManifestMismatch(f"{_stale(place, manifest)} {changed}; {FIX}")


def check_all_sources(place: Path, manifest: Manifest, folder: Path) -> None:
    """Check all images that were converted by their names and sizes, and if their times differ, some by content.

    Raises:
        ManifestMismatch: says how many there are.
    """
    sources = list(image_tree.files(folder))
    if times_fingerprint(sources) == manifest.source.fingerprint:
        return
    check_source(place, manifest, folder)
    state, then, shown, stale = (
        manifest.source.state,
        manifest.source.images,
        printable(folder),
        _stale(place, manifest),
    )
    if len(sources) != then:
        raise ManifestMismatch(f"{stale} {shown} had {then:,} images when it was written, now {len(sources):,}; {FIX}")
    if state is None or state.fingerprint != fingerprint.state_of(folder, manifest.classes, sources).fingerprint:
        raise ManifestMismatch(f"{stale} of the {then:,} images in {shown} some have another name, size or time; {FIX}")


def _stale(place: Path, manifest: Manifest) -> str:
    return f"{manifest.title} {printable(place)} is stale:"
