"""What all formats of converted images have in common: the settings of ``data.loader``, and the cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import ClassVar, TypeVar

from resnet_exp.core.errors import RequestError
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion import reuse
from resnet_exp.data.conversion.cache import ConversionRequest, ConvertedFormat
from resnet_exp.data.conversion.manifest import Manifest
from resnet_exp.data.conversion.process import Say
from resnet_exp.data.images import fingerprint, image_tree
from resnet_exp.data.images.fingerprint import Scan, SplitState

Files = TypeVar("Files", bound="FormatFiles")


@dataclass(frozen=True)
class FormatFiles:
    """The files of a dataset in one format: the settings of its ``data.loader``, and where the cache is."""

    kind: ClassVar[ConvertedFormat]
    manifest: ClassVar[type[Manifest]]

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

    def _request(self, root: str) -> ConversionRequest:
        content = {name: getattr(self, name) for name in self.kind.content}
        return ConversionRequest(self.kind, root, self.cache_dir, content)

    def place_of(self, root: str, split: str) -> Path:
        """File or folder of a split: the one that the settings name, else the one in the cache."""
        raise NotImplementedError

    def is_named(self, split: str) -> bool:
        """Whether the settings name what a split is read from, so that no image folder is."""
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
    """Check a setting of ``data.loader``; raises `RequestError` if it is no number, or out of range."""
    if not isinstance(value, types) or isinstance(value, bool) or not least <= value <= most:  # pyright: ignore[reportOperatorIssue]
        raise RequestError(f"data.loader.{key}={value} is out of range; use {least} to {most}")
