"""FFCV files before a run starts: where they are, and whether they are what they should be."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import printable, setting
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.cache import ConvertedFormat
from resnet_exp.data.conversion.files import ConvertedFiles, check_number
from resnet_exp.data.conversion.manifest import FIX, Manifest
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.ffcv import layout
from resnet_exp.data.ffcv import manifest as ffcv_manifest

KIND = ConvertedFormat(
    name="ffcv",
    content=("write_mode", "max_resolution", "compress_probability", "jpeg_quality"),
    suffix=".ffcv",
    conversion="resnet_exp.data.ffcv.conversion.FFCVConversion",
)
# Read of a file without a manifest, to tell it from others: the rows of 30,000 images.
HEAD_BYTES = 2**20


@dataclass(frozen=True)
class FFCVFiles(ConvertedFiles):
    """The FFCV files of a dataset: the two that ``data.loader`` names, or those in the cache.

    The fields are its settings, which ``conf/data/ffcv.yaml`` explains.
    """

    kind: ClassVar[ConvertedFormat] = KIND
    manifest: ClassVar[type[Manifest]] = ffcv_manifest.FFCVManifest

    train_file: str | None
    val_file: str | None
    write_mode: str
    max_resolution: int | None
    compress_probability: float
    jpeg_quality: int
    os_cache: bool = True

    def _given(self, split: str) -> str | None:
        return self.train_file if split == "train" else self.val_file

    def is_named(self, split: str) -> bool:
        """Whether the settings name a split's file."""
        return self._given(split) is not None

    def place_of(self, root: str, split: str) -> Path:
        """Path of a split's file: the one that the user named, else the cached one for this folder and settings."""
        given = self._given(split)
        return Path(given) if given is not None else self._request(root).place(split)

    def needs_folder(self) -> bool:
        """Whether an image folder is read: not if the settings name both files."""
        return not (self.train_file and self.val_file)

    @staticmethod
    def named(split: str, place: Path) -> str:
        """The setting that names a split's file."""
        return setting(f"data.loader.{split}_file", place)

    def is_there(self, split: str, place: Path) -> bool:
        """Whether there is a split's file."""
        if place.is_file():
            return True
        if self.is_named(split):
            raise RequestError(f"data.loader.{split}_file={place} does not exist; convert the dataset first")
        return False

    def check_split(self, split: str, place: Path, options: ConversionOptions) -> Manifest | None:
        """Check quickly that a file is whole; of one without a manifest, its header and class numbers."""
        manifest = ffcv_manifest.read_manifest(place)
        if manifest is None:
            ffcv_manifest.check_header(place, options.classes)
            options.say(f"note: {printable(place)} has no manifest, so only its header and class numbers were checked")
            return None
        ffcv_manifest.check_quickly(place, manifest, "name another file" if self.is_named(split) else FIX)
        return manifest

    def verify(self, root: str, split: str, tell: Callable[[int, int], None]) -> ffcv_manifest.FFCVManifest:
        """Check every byte of a split's file, and every image that it was made from.

        `tell` takes how many bytes of how many have been read.

        Raises:
            RequestError: there is no such file, or no manifest to check it against.
            ManifestMismatch: it is not what was written.
        """
        path = self.place_of(root, split)
        manifest = ffcv_manifest.read_manifest(path) if path.is_file() else None
        if not path.is_file():
            raise RequestError(f"{path} does not exist: there is nothing to verify; convert first, without verify=true")
        if manifest is None:
            raise RequestError(f"{path} has no manifest to verify it against; convert the dataset again")
        ffcv_manifest.check_fully(path, manifest, lambda done: tell(done, manifest.file_bytes))
        if self._given(split) is None:
            manifests.check_all_sources(path, manifest, Path(root) / split)
        return manifest

    def head(self, place: Path) -> bytes | None:
        """See `ConvertedFiles.head`: rows and sizes are at the beginning."""
        with contextlib.suppress(OSError), place.open("rb") as file:
            return f"{place.stat().st_size} ".encode() + file.read(HEAD_BYTES)
        return None

    def given_manifest(self) -> ffcv_manifest.FFCVManifest | None:
        """Manifest of the training file that settings name; None where they name none, or one without.

        Raises:
            RequestError: the manifest is damaged.
        """
        given = self.train_file
        return ffcv_manifest.read_manifest(Path(given)) if given else None

    def facts(self, root: str) -> dict[str, object]:
        """For ``environment.json``: path, images, origin and seal of each file."""
        return {
            split: {"file": str(path), **manifests.manifest_summary(path, self.manifest)}
            for split, path in self.places(root).items()
        }

    def check_settings(self) -> None:
        """Check what the files are written with; raises `RequestError` on the first one that cannot be used."""
        mode, side = self.write_mode, self.max_resolution
        if mode not in layout.MODES:
            raise RequestError(f"data.loader.write_mode={mode} is unknown; use one of {', '.join(layout.MODES)}")
        if side is not None:
            check_number("max_resolution", side, (int,), 1, layout.MAX_RESOLUTION)
        check_number("compress_probability", self.compress_probability, (int, float), 0, 1)
        check_number("jpeg_quality", self.jpeg_quality, (int,), 1, 100)
