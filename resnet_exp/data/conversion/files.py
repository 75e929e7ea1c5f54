"""What all formats have in common that read more than an image folder: their settings, and the cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import ClassVar, TypeVar

from resnet_exp.core.errors import RequestError
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion import process, reuse
from resnet_exp.data.conversion.cache import ConversionRequest, ConvertedFormat
from resnet_exp.data.conversion.manifest import Manifest
from resnet_exp.data.conversion.process import ConversionOptions, Say
from resnet_exp.data.images import fingerprint, image_tree
from resnet_exp.data.images.fingerprint import Scan, SplitState

Files = TypeVar("Files", bound="FormatFiles")


@dataclass(frozen=True)
class Known:
    """What is known of images to train on before they are read.

    Attributes:
        classes: names of the classes, in the order of their numbers.
        images: how many; None if nothing tells.
        folder: of the data set, by which it is called.
        side: median of the shorter sides in pixels, of a sample; None if they were not looked at.
    """

    classes: list[str]
    images: int | None
    folder: str
    side: int | None = None


@dataclass(frozen=True)
class FormatFiles:
    """What a data format reads beside an image folder, or instead of one: the settings of its ``data.loader``.

    ``root`` is ``dataset.dir`` everywhere, empty if that is not set.
    """

    cache_dir: str

    @classmethod
    def of(cls: type[Files], loader: Mapping[str, object], cache_dir: str) -> Files:
        """What ``data.loader`` says.

        Raises:
            RequestError: a setting is unknown, missing or of no use.
        """
        known = [each.name for each in fields(cls) if each.name != "cache_dir"]
        given = {name: value for name, value in loader.items() if name != "_target_"}
        for name in given:
            if name not in known:
                raise RequestError(f"data.loader.{name} is not a setting; data.loader has {', '.join(known)}")
        for each in fields(cls):
            if each.name in known and each.default is MISSING and each.name not in given:
                raise RequestError(f"data.loader.{each.name} is not set; conf/data has a value for it")
        files = cls(cache_dir=cache_dir, **given)  # pyright: ignore[reportArgumentType] - `check_settings` checks them
        files.check_settings()
        return files

    def check_settings(self) -> None:
        """Raise `RequestError` on the first setting that cannot be used."""
        raise NotImplementedError

    def needs_folder(self) -> bool:
        """Whether an image folder is read."""
        raise NotImplementedError

    def place_of(self, root: str, split: str) -> Path:
        """File or folder of a split on this machine."""
        raise NotImplementedError

    def known(self, root: str) -> Known | None:
        """What is known of the training images; None if nothing but an image folder tells.

        Raises:
            RequestError: what tells is damaged.
            RunFailed: an object store cannot be read.
        """
        raise NotImplementedError

    def check(self, root: str, options: ConversionOptions) -> dict[str, Path]:
        """Check both splits, as far as they are there; returns those that are to be converted. See `prepare`."""
        raise NotImplementedError

    def prepare(self, root: str, options: ConversionOptions) -> list[Path]:
        """Check both splits, and write what is written once.

        Raises:
            RequestError: they are not what they should be, or the cache cannot be written or is too small.
            RunFailed: the conversion failed, or an object store cannot be read.
        """
        raise NotImplementedError

    def scan(self, root: str, split: str) -> Scan | None:
        """The classes and images of a split; None if nothing says yet. Raises `RequestError` if they cannot be read."""
        raise NotImplementedError

    def facts(self, root: str) -> dict[str, object]:
        """What a run trains on, for its ``environment.json``."""
        raise NotImplementedError


@dataclass(frozen=True)
class ConvertedFiles(FormatFiles):
    """The files that an image folder is converted to: the settings say how, or name some, and the cache has the rest.

    Attributes:
        kind: the format.
        manifest: of its files.
    """

    kind: ClassVar[ConvertedFormat]
    manifest: ClassVar[type[Manifest]]

    def _request(self, root: str) -> ConversionRequest:
        content = {
            name: value
            for name in self.kind.content
            if (value := getattr(self, name)) != self.kind.defaults.get(name, MISSING)
        }
        return ConversionRequest(self.kind, root, self.cache_dir, content)

    def is_named(self, split: str) -> bool:
        """Whether the settings name what a split is read from, so that no image folder is."""
        raise NotImplementedError

    @staticmethod
    def named(split: str, place: Path) -> str:
        """The setting that names a split's place."""
        raise NotImplementedError

    def verify(self, root: str, split: str, tell: Callable[[int, int], None]) -> Manifest:
        """Check every byte of a split, and the images that it was made from; `tell` takes bytes read, of how many."""
        raise NotImplementedError

    def given_manifest(self) -> Manifest | None:
        """The manifest of the training images that the settings name; None where they name none, or one without."""
        raise NotImplementedError

    def known(self, root: str) -> Known | None:
        """See `FormatFiles.known`: what the manifest says of files that the settings name."""
        manifest = self.given_manifest()
        if manifest is None:
            return None
        return Known(manifest.classes, manifest.images, str(Path(manifest.source.folder).parent))

    def prepare(self, root: str, options: ConversionOptions) -> list[Path]:
        """See `FormatFiles.prepare`: write what is not there; nothing is left under its name if that fails."""
        missing, places = self.check(root, options), self.places(root)
        if missing:
            process.convert(self._request(root), missing, options)
            self._check_both(places, root, options)
        self.name_superseded(root, options.say)
        return list(places.values())

    def check(self, root: str, options: ConversionOptions) -> dict[str, Path]:
        """See `FormatFiles.check`."""
        self.find_converted(root, options.say)
        places = self.places(root)
        missing = {split: place for split, place in places.items() if not self.is_there(split, place)}
        if not missing:
            self._check_both(places, root, options)
        return missing

    def places(self, root: str) -> dict[str, Path]:
        """File or folder of each split."""
        return {split: self.place_of(root, split) for split in image_tree.SPLITS}

    def _check_both(self, places: dict[str, Path], root: str, options: ConversionOptions) -> None:
        """Check quickly that splits are whole, those of this folder and these settings, and of the same classes."""
        found: list[tuple[Path, Manifest]] = []
        for split, place in places.items():
            manifest = self.check_split(split, place, options)
            if manifest is None:
                continue
            found.append((place, manifest))
            if not self.is_named(split):
                manifests.check_origin(place, manifest, self._request(root).content, Path(root) / split)
            manifests.check_class_count(place, manifest, options.classes)
        if len(found) == len(places):
            manifests.check_classes_agree(*found)

    def is_there(self, split: str, place: Path) -> bool:
        """Whether a split need not be converted. Raises `RequestError` if settings name a place that has none."""
        raise NotImplementedError

    def check_split(self, split: str, place: Path, options: ConversionOptions) -> Manifest | None:
        """Check quickly that a split is whole; returns its manifest, None if it has none.

        Raises:
            RequestError: it is not.
        """
        raise NotImplementedError

    def find_converted(self, root: str, say: Say) -> None:
        """See `resnet_exp.data.conversion.reuse.find_converted`."""
        for split in self._converted_splits():
            reuse.find_converted(self._request(root), split, self.manifest, say)

    def name_superseded(self, root: str, say: Say) -> None:
        """Name conversions that are not in use any more."""
        if (line := reuse.superseded(self._request(root), self._converted_splits())) is not None:
            say(line)

    def _converted_splits(self) -> list[str]:
        return [split for split in image_tree.SPLITS if not self.is_named(split)]

    def scan(self, root: str, split: str) -> Scan | None:
        """The images that a split was converted from, else those that it would be; None if nothing says yet.

        Raises:
            RequestError: a manifest is damaged, or the image folder cannot be read.
        """
        place = self.place_of(root, split)
        manifest = manifests.read_manifest(place, self.manifest) if place.exists() else None
        if manifest is not None and manifest.source.state is not None:
            return Scan(manifest.classes, manifest.source.state)
        if not self.is_named(split):
            return fingerprint.scan_split(Path(root) / split)
        if manifest is not None:
            return Scan(manifest.classes, SplitState(manifest.source.fingerprint, "", manifest.class_images, [], []))
        # Written elsewhere: what it is read from tells it apart.
        head = self.head(place)
        return None if head is None else Scan([], SplitState(fingerprint.hash_of(head), "", [], [], []))

    def head(self, place: Path) -> bytes | None:
        """The part of converted images that says where each one is, without their pixels; None if there is none."""
        raise NotImplementedError


def check_number(key: str, value: object, types: tuple[type, ...], least: int, most: int) -> None:
    """Check a setting of ``data.loader``; raises `RequestError` if it is not a number, or out of range."""
    if not isinstance(value, types) or isinstance(value, bool) or not least <= value <= most:  # pyright: ignore[reportOperatorIssue]
        raise RequestError(f"data.loader.{key}={value} is out of range; use {least} to {most}")
