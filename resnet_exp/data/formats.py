"""Every ``data=NAME``: the one list of data formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from resnet_exp.data.conversion.manifest import Manifest
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.ffcv import files as ffcv_files
from resnet_exp.data.streaming import files as mds_files

Settings = dict[str, Any]


class ConvertedFiles(Protocol):
    """A module about the files of a format that images are converted to; `resnet_exp.data.ffcv.files` says more."""

    def place_of(self, root: str, split: str, settings: Settings) -> Path:
        """File or folder of a split."""
        ...

    def needs_folder(self, settings: Settings) -> bool:
        """Whether an image folder is read."""
        ...

    def named(self, split: str, place: Path) -> str:
        """The setting that names a split's place."""
        ...

    def prepare(self, root: str, settings: Settings, options: ConversionOptions) -> list[Path]:
        """Check both splits, and convert what is missing."""
        ...

    def verify(self, root: str, split: str, settings: Settings, tell: Callable[[int, int], None]) -> Manifest:
        """Check every byte of a split."""
        ...

    def given_manifest(self, settings: Settings) -> Manifest | None:
        """The manifest of the training images that settings name."""
        ...

    def facts(self, root: str, settings: Settings) -> Settings:
        """What a run trains on, for its ``environment.json``."""
        ...

    def check_settings(self, settings: Settings) -> None:
        """Raise `RequestError` on the first setting that cannot be used."""
        ...


@dataclass(frozen=True)
class DataFormat:
    """A data format of this package.

    Attributes:
        name: what ``data`` is called.
        loader: ``data.loader._target_``, the function that makes its loaders.
        augments: whether its loaders do RandAugment.
        reads_images: whether there is an image folder at all.
        files: what images are converted to; None if they are read as they are.
    """

    name: str
    loader: str
    augments: bool = True
    reads_images: bool = True
    files: ConvertedFiles | None = None

    def needs_folder(self, settings: Settings) -> bool:
        """Whether the image folder is read with these settings, of `settings_of`."""
        return self.reads_images if self.files is None else self.files.needs_folder(settings)


FFCV = DataFormat("ffcv", "resnet_exp.data.ffcv.make_loader", files=ffcv_files)
IMAGE_FOLDER = DataFormat("imagefolder", "resnet_exp.data.imagefolder.make_loader")
STREAMING = DataFormat("streaming", "resnet_exp.data.streaming.make_loader", files=mds_files)
SYNTHETIC = DataFormat("synthetic", "resnet_exp.data.synthetic.make_loader", augments=False, reads_images=False)
ALL = (FFCV, IMAGE_FOLDER, STREAMING, SYNTHETIC)


def format_of(loader: Settings) -> DataFormat | None:
    """The format of ``data.loader``; None for a loader of the user's own."""
    return next((one for one in ALL if loader.get("_target_") == one.loader), None)


def files_of(loader: Settings) -> ConvertedFiles | None:
    """What the images of ``data.loader`` are converted to; None if they are not."""
    found = format_of(loader)
    return None if found is None else found.files


def settings_of(loader: Settings, cache_dir: str) -> Settings:
    """Settings of a format: what ``data.loader`` takes besides a split, and where the cache is."""
    return {**loader, "cache_dir": cache_dir}


def given_manifest(loader: Settings, cache_dir: str) -> Manifest | None:
    """The manifest of the training images that ``data.loader`` names; None where it names none."""
    files = files_of(loader)
    return None if files is None else files.given_manifest(settings_of(loader, cache_dir))
