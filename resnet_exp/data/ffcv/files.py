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
from resnet_exp.data.conversion import process
from resnet_exp.data.conversion.cache import ConvertedFormat
from resnet_exp.data.conversion.files import FormatFiles, check_number
from resnet_exp.data.conversion.manifest import FIX, Manifest
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.ffcv import layout
from resnet_exp.data.ffcv import manifest as ffcv_manifest
from resnet_exp.data.images import image_tree

KIND = ConvertedFormat(
    name="ffcv",
    content=("write_mode", "max_resolution", "compress_probability", "jpeg_quality"),
    suffix=".ffcv",
    conversion="resnet_exp.data.ffcv.conversion.FFCVConversion",
)
# Read of a file without a manifest, to tell it from others: the rows of 30,000 images.
HEAD_BYTES = 2**20


@dataclass(frozen=True)
class FFCVFiles(FormatFiles):
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

    def prepare(self, root: str, options: ConversionOptions) -> list[Path]:
        """Check the files of both splits, and write those that are not there.

        Args:
            root: the image folder; not needed if the settings name both files.
            options: how images are converted.

        Raises:
            RequestError: a file is not what it should be, one that the user named does not exist, or the cache cannot
                be written or is too small.
            RunFailed: the conversion failed; nothing is left under the file's name.
        """
        missing = self.check(root, options)
        places = self._places(root)
        if missing:
            process.convert(self._request(root), missing, options)
            self._check_files(places, root, options)
        self.name_superseded(root, options.say)
        return list(places.values())

    def check(self, root: str, options: ConversionOptions) -> dict[str, Path]:
        """Check the files of both splits if they are there; returns those that are to be converted. See `prepare`."""
        self.find_converted(root, options.say)
        places = self._places(root)
        missing = {split: path for split, path in places.items() if not path.is_file()}
        for split, path in missing.items():
            if self._given(split) is not None:
                raise RequestError(f"data.loader.{split}_file={path} does not exist; convert the dataset first")
        if not missing:
            self._check_files(places, root, options)
        return missing

    def _places(self, root: str) -> dict[str, Path]:
        return {split: self.place_of(root, split) for split in image_tree.SPLITS}

    def _check_files(self, paths: dict[str, Path], root: str, options: ConversionOptions) -> None:
        """Check quickly that the files are whole, those of this folder and these settings, and of the same classes."""
        found = {}
        for split, path in paths.items():
            manifest = ffcv_manifest.read_manifest(path)
            if manifest is None:
                ffcv_manifest.check_header(path, options.classes)
                options.say(
                    f"note: {printable(path)} has no manifest, so only its header and class numbers were checked"
                )
                continue
            found[split] = manifest
            given = self._given(split) is not None
            ffcv_manifest.check_quickly(path, manifest, "name another file" if given else FIX)
            if not given:
                manifests.check_origin(path, manifest, self._request(root).content, Path(root) / split)
            manifests.check_class_count(path, manifest, options.classes)
        if len(found) == len(paths):
            manifests.check_classes_agree(*((paths[split], found[split]) for split in image_tree.SPLITS))

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
        """See `FormatFiles.head`: rows and sizes are at the beginning."""
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
        places = {split: self.place_of(root, split) for split in image_tree.SPLITS}
        return {
            split: {"file": str(path), **manifests.manifest_summary(path, self.manifest)}
            for split, path in places.items()
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
