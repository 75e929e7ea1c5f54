"""Where converted images are: a cache that is keyed by the images and by what they are written with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import ClassVar, TypeVar

from resnet_exp.core.errors import RequestError
from resnet_exp.data import image_tree

# Longest side of a stored image in pixels: JPEG and FFCV both write it in 16 bits.
MAX_SIDE = 2**16 - 1


@dataclass(frozen=True)
class ConvertedFormat:
    """A format of converted images.

    Attributes:
        name: of its folder in the cache.
        content: the settings that what is written depends on.
        suffix: what the name of a split's file ends with.
        conversion: import path of its `resnet_exp.data.conversion.base.Conversion`, for the writer's process alone.
    """

    name: str
    content: tuple[str, ...]
    suffix: str
    conversion: str


@dataclass(frozen=True)
class ConversionRequest:
    """What is to be converted, and where to.

    Attributes:
        kind: the format.
        root: the image folder.
        cache_dir: folder of all that is converted.
        content: the settings that what is written depends on, in the order of the format's.
    """

    kind: ConvertedFormat
    root: str
    cache_dir: str
    content: dict[str, object]

    def place(self, split: str) -> Path:
        """Path of a split in the cache.

        The cache key holds the folder, its classes and their modification times: files that are added, removed or
        renamed make new ones. Changing the content of an image in place is not seen.
        """
        base = Path(self.root).resolve()
        folders = [base / name / label for name in image_tree.SPLITS for label in image_tree.class_names(base / name)]
        state = _hash([(folder.name, folder.stat().st_mtime_ns) for folder in folders])
        return self._cache / f"{self._wanted}-{state}" / f"{split}{self.kind.suffix}"

    @property
    def work_folder(self) -> Path:
        """Where splits are written before they are whole, whatever state the image folder is in by then."""
        return self._cache / f".{self._wanted}"

    @property
    def _cache(self) -> Path:
        return Path(self.cache_dir) / self.kind.name

    @property
    def _wanted(self) -> str:
        base = Path(self.root).resolve()
        return f"{base.name}-{_hash([str(base), list(self.content.values())])}"


Files = TypeVar("Files", bound="FormatFiles")


@dataclass(frozen=True)
class FormatFiles:
    """The files of a dataset in one format: the settings of its ``data.loader``, and where the cache is."""

    kind: ClassVar[ConvertedFormat]

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


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]


def check_number(key: str, value: object, types: tuple[type, ...], least: int, most: int) -> None:
    """Check a setting of ``data.loader``; raises `RequestError` if it is no number, or out of range."""
    if not isinstance(value, types) or isinstance(value, bool) or not least <= value <= most:  # pyright: ignore[reportOperatorIssue]
        raise RequestError(f"data.loader.{key}={value} is out of range; use {least} to {most}")
