"""Every ``data=NAME``: the one list of data formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from resnet_exp.data.conversion.files import ConvertedFiles, FormatFiles, Known
from resnet_exp.data.ffcv.files import FFCVFiles
from resnet_exp.data.imagefolder.decoders import PILLOW
from resnet_exp.data.imagefolder.files import IndexFiles
from resnet_exp.data.images import image_tree
from resnet_exp.data.parquet.files import ParquetFiles
from resnet_exp.data.streaming.files import MDSShards


@dataclass(frozen=True)
class DataFormat:
    """A data format of this package.

    Attributes:
        name: what ``data`` is called.
        loader: ``data.loader._target_``, the function that makes its loaders.
        augments: whether its loaders do RandAugment.
        reads_images: whether there is an image folder at all.
        files: what is read beside an image folder, or instead of one; None if nothing else is.
        images_a_core: images a second that a core of an AMD EPYC loads at 176 pixels (docs/performance.md,
            docs/parquet.md); None if it has not been measured.
    """

    name: str
    loader: str
    augments: bool = True
    reads_images: bool = True
    files: type[FormatFiles] | None = None
    images_a_core: int | None = None


FFCV = DataFormat("ffcv", "resnet_exp.data.ffcv.make_loader", files=FFCVFiles, images_a_core=4100)
IMAGE_FOLDER = DataFormat("imagefolder", "resnet_exp.data.imagefolder.make_loader", images_a_core=630, files=IndexFiles)
STREAMING = DataFormat("streaming", "resnet_exp.data.streaming.make_loader", files=MDSShards, images_a_core=2400)
PARQUET = DataFormat("parquet", "resnet_exp.data.parquet.make_loader", files=ParquetFiles, images_a_core=1500)
SYNTHETIC = DataFormat("synthetic", "resnet_exp.data.synthetic.make_loader", augments=False, reads_images=False)
ALL = (FFCV, IMAGE_FOLDER, PARQUET, STREAMING, SYNTHETIC)


def converted() -> list[tuple[str, type[ConvertedFiles]]]:
    """The formats that image folders are converted to, by name."""
    return [(one.name, one.files) for one in ALL if one.files is not None and issubclass(one.files, ConvertedFiles)]


def format_of(loader: Mapping[str, object]) -> DataFormat | None:
    """The format of ``data.loader``; None for a loader of the user's own."""
    return next((one for one in ALL if loader.get("_target_") == one.loader), None)


def has_processes(loader: Mapping[str, object]) -> bool:
    """Whether ``data.loader`` has worker processes of ours, or else threads."""
    return format_of(loader) is IMAGE_FOLDER and loader.get("decoder", PILLOW) == PILLOW


def files_of(loader: Mapping[str, object], cache_dir: str) -> FormatFiles | None:
    """What ``data.loader`` reads beside an image folder, or instead of one; None if nothing else.

    Raises:
        RequestError: a setting is unknown, missing or of no use.
    """
    found = format_of(loader)
    if found is None or found.files is None or (found is IMAGE_FOLDER and not loader.get("index", False)):
        return None
    return found.files.of(loader, cache_dir)


def needs_folder(loader: Mapping[str, object], cache_dir: str) -> bool:
    """Whether ``data.loader``, or what its images are converted with, reads the image folder; not asked of a user's."""
    found, files = format_of(loader), files_of(loader, cache_dir)
    return files.needs_folder() if files is not None else found is not None and found.reads_images


def check_root(loader: Mapping[str, object], cache_dir: str, root: str) -> None:
    """Check that `root` names the images, if they are read from there; whether it exists, only their reader can tell.

    Raises:
        RequestError: it names none.
    """
    if root:
        return
    if needs_folder(loader, cache_dir):
        image_tree.folder(root)
    elif format_of(loader) is PARQUET:
        known(loader, cache_dir, root)


def known(loader: Mapping[str, object], cache_dir: str, root: str) -> Known | None:
    """What is known of the training images before they are read; None if nothing but an image folder tells.

    Raises:
        RequestError: what tells is damaged.
        RunFailed: an object store cannot be read.
    """
    files = files_of(loader, cache_dir)
    return None if files is None else files.known(root)
