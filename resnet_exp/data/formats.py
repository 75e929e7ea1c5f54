"""The formats of converted images, by the function that loads them. No torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from resnet_exp.data.conversion.manifest import Manifest
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.ffcv import files as ffcv_files
from resnet_exp.data.streaming import files as mds_files

Settings = dict[str, Any]


class Format(Protocol):
    """A module with these functions; `resnet_exp.data.ffcv.files` says what they do in full."""

    LOADER: str

    def place_of(self, root: str, split: str, settings: Settings) -> Path:
        """File or folder of a split."""
        ...

    def needs_folder(self, settings: Settings) -> bool:
        """Whether an image folder is read."""
        ...

    def named(self, split: str, place: Path) -> str:
        """The setting that names a split's place."""
        ...

    def prepare(self, root: str, settings: Settings, terms: ConversionOptions) -> list[Path]:
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
        """Raise `RequestError` on the first setting that is of no use."""
        ...


ALL: tuple[Format, ...] = (ffcv_files, mds_files)
# What `data` is called for each.
NAMES = ("ffcv", "streaming")


def format_of(loader: Settings) -> Format | None:
    """The format of ``data.loader``; None if nothing is converted for it."""
    return next((module for module in ALL if loader.get("_target_") == module.LOADER), None)


def settings_of(loader: Settings, cache_dir: str) -> Settings:
    """Settings of a format: what ``data.loader`` takes besides a split, and where the cache is."""
    return {**loader, "cache_dir": cache_dir}


def given_manifest(loader: Settings, cache_dir: str) -> Manifest | None:
    """The manifest of the training images that ``data.loader`` names; None where it names none."""
    found = format_of(loader)
    return found.given_manifest(settings_of(loader, cache_dir)) if found is not None else None


# What reads an image folder as it is; formats of users look after their data themselves.
FOLDER_FORMAT = "resnet_exp.data.imagefolder.make_loader"


SYNTHETIC = "resnet_exp.data.synthetic.make_loader"
