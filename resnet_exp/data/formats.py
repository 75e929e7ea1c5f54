"""Every ``data=NAME``: the one list of data formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from resnet_exp.data.conversion.manifest import Manifest
from resnet_exp.data.conversion.process import ConversionOptions, Say
from resnet_exp.data.ffcv.files import FFCVFiles
from resnet_exp.data.imagefolder.decoders import PILLOW
from resnet_exp.data.images.fingerprint import Scan
from resnet_exp.data.streaming.files import MDSShards


class ConvertedFiles(Protocol):
    """The files of a format that images are converted to; `resnet_exp.data.ffcv.files.FFCVFiles` says more."""

    def place_of(self, root: str, split: str) -> Path:
        """File or folder of a split."""
        ...

    def needs_folder(self) -> bool:
        """Whether an image folder is read."""
        ...

    def named(self, split: str, place: Path) -> str:
        """The setting that names a split's place."""
        ...

    def find_converted(self, root: str, say: Say) -> None:
        """Find converted images of the same content under another name."""
        ...

    def check(self, root: str, options: ConversionOptions) -> dict[str, Path]:
        """Check both splits if they are there; returns those that are to be converted."""
        ...

    def prepare(self, root: str, options: ConversionOptions) -> list[Path]:
        """Check both splits, and convert what is missing."""
        ...

    def verify(self, root: str, split: str, tell: Callable[[int, int], None]) -> Manifest:
        """Check every byte of a split."""
        ...

    def given_manifest(self) -> Manifest | None:
        """The manifest of the training images that the settings name."""
        ...

    def scan(self, root: str, split: str) -> Scan | None:
        """The classes and images of a split."""
        ...

    def facts(self, root: str) -> dict[str, object]:
        """What a run trains on, for its ``environment.json``."""
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
        defaults: settings of ``data.loader`` that files do not have; a run that has all of them is that of a version
            without them.
    """

    name: str
    loader: str
    augments: bool = True
    reads_images: bool = True
    files: type[FFCVFiles] | type[MDSShards] | None = None
    defaults: Mapping[str, object] = field(default_factory=dict[str, object], hash=False)


FFCV = DataFormat("ffcv", "resnet_exp.data.ffcv.make_loader", files=FFCVFiles)
IMAGE_FOLDER = DataFormat("imagefolder", "resnet_exp.data.imagefolder.make_loader", defaults={"decoder": PILLOW})
STREAMING = DataFormat("streaming", "resnet_exp.data.streaming.make_loader", files=MDSShards)
SYNTHETIC = DataFormat("synthetic", "resnet_exp.data.synthetic.make_loader", augments=False, reads_images=False)
ALL = (FFCV, IMAGE_FOLDER, STREAMING, SYNTHETIC)


def format_of(loader: Mapping[str, object]) -> DataFormat | None:
    """The format of ``data.loader``; None for a loader of the user's own."""
    return next((one for one in ALL if loader.get("_target_") == one.loader), None)


def has_processes(loader: Mapping[str, object]) -> bool:
    """Whether ``data.loader`` has worker processes of ours, or else threads."""
    return format_of(loader) is IMAGE_FOLDER and loader.get("decoder", PILLOW) == PILLOW


def files_of(loader: Mapping[str, object], cache_dir: str) -> FFCVFiles | MDSShards | None:
    """What the images of ``data.loader`` are converted to; None if they are not.

    Raises:
        RequestError: a setting is unknown, missing or of no use.
    """
    found = format_of(loader)
    return None if found is None or found.files is None else found.files.of(loader, cache_dir)


def needs_folder(loader: Mapping[str, object], cache_dir: str) -> bool:
    """Whether ``data.loader``, or what its images are converted with, reads the image folder; not asked of a user's."""
    found, files = format_of(loader), files_of(loader, cache_dir)
    return files.needs_folder() if files is not None else found is not None and found.reads_images


def given_manifest(loader: Mapping[str, object], cache_dir: str) -> Manifest | None:
    """The manifest of the training images that ``data.loader`` names; None where it names none."""
    files = files_of(loader, cache_dir)
    return None if files is None else files.given_manifest()
