"""The index of an image folder before a run starts: where it is, and whether it is what it should be."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import printable
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.cache import ConvertedFormat
from resnet_exp.data.conversion.files import ConvertedFiles
from resnet_exp.data.conversion.manifest import Manifest
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.imagefolder import index_manifest
from resnet_exp.data.imagefolder.decoders import COMPILED, PILLOW
from resnet_exp.data.imagefolder.index_manifest import IndexManifest

KIND = ConvertedFormat(
    name="index",
    content=(),
    suffix="",
    conversion="resnet_exp.data.imagefolder.index_conversion.IndexConversion",
)


@dataclass(frozen=True)
class IndexFiles(ConvertedFiles):
    """The index of a dataset, for each split a folder in the cache.

    The fields are the settings of ``data.loader``, which ``conf/data/imagefolder.yaml`` explains.
    """

    kind: ClassVar[ConvertedFormat] = KIND
    manifest: ClassVar[type[Manifest]] = IndexManifest

    decoder: str = PILLOW
    index: bool = False

    def is_named(self, split: str) -> bool:
        """Always in the cache."""
        return False

    def place_of(self, root: str, split: str) -> Path:
        """Folder of a split's index in the cache."""
        return self._request(root).place(split)

    def needs_folder(self) -> bool:
        """The images are read from their folder."""
        return True

    @staticmethod
    def named(split: str, place: Path) -> str:
        """No setting names it: a run finds it."""
        return f"data.loader.index=true  {split}: {printable(place)}"

    def is_there(self, split: str, place: Path) -> bool:
        """Whether there is a split's index."""
        return place.is_dir()

    def check_split(self, split: str, place: Path, options: ConversionOptions) -> Manifest:
        """Check quickly that an index is whole; each has a manifest."""
        manifest = _manifest_of(place)
        index_manifest.check_quickly(place, manifest)
        return manifest

    def verify(self, root: str, split: str, tell: Callable[[int, int], None]) -> IndexManifest:
        """Check every byte of a split's index, and every image that it was made from.

        Raises:
            RequestError: there is no index, or no manifest to check it against.
            ManifestMismatch: it is not what was written.
        """
        place = self.place_of(root, split)
        if not place.is_dir():
            raise RequestError(
                f"{printable(place)} does not exist: there is nothing to verify; convert first, without verify=true"
            )
        manifest = _manifest_of(place)
        index_manifest.check_fully(place, manifest, tell)
        manifests.check_all_sources(place, manifest, Path(root) / split)
        return manifest

    def head(self, place: Path) -> bytes | None:
        """See `ConvertedFiles.head`: the manifest, which each index has."""
        with contextlib.suppress(OSError):
            return manifests.path_of(place).read_bytes()
        return None

    def given_manifest(self) -> IndexManifest | None:
        """No setting names one."""
        return None

    def facts(self, root: str) -> dict[str, object]:
        """For ``environment.json``: place, images, origin and seal of each split's index."""
        return {
            split: {"index": str(place), **manifests.manifest_summary(place, self.manifest)}
            for split, place in self.places(root).items()
        }

    def check_settings(self) -> None:
        """Check that the index is of use."""
        if self.index is not True:
            raise RequestError(f"data.loader.index={self.index} is unknown; use true or false")
        if self.decoder != COMPILED:
            raise RequestError(
                f"data.loader.index=true has no effect with data.loader.decoder={self.decoder}, which decodes images "
                f"whole; add data.loader.decoder={COMPILED} or leave it out"
            )


def _manifest_of(place: Path) -> IndexManifest:
    manifest = manifests.read_manifest(place, IndexManifest)
    if manifest is None:
        raise RequestError(f"index {printable(place)} has no manifest; remove it to write it again")
    return manifest
