"""Where converted images are: a cache that is keyed by the images and by what they are written with."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from resnet_exp.core.files import writing
from resnet_exp.data.images import fingerprint, image_tree

# Longest side of a stored image in pixels: JPEG and FFCV both write it in 16 bits.
MAX_SIDE = 2**16 - 1


@dataclass(frozen=True)
class ConvertedFormat:
    """A format of converted images.

    Attributes:
        name: of its folder in the cache.
        content: the settings that what is written depends on.
        suffix: what the name of a split's file ends with.
        defaults: settings of `content` that later versions added, and their values; one that has its value counts as
            missing, so that what was converted before stays of use.
        conversion: import path of its `resnet_exp.data.conversion.base.Conversion`, for the writer's process alone.
    """

    name: str
    content: tuple[str, ...]
    suffix: str
    conversion: str
    defaults: Mapping[str, object] = field(default_factory=dict[str, object], hash=False)


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

        The images are not read for it: the name holds the folder, its classes and their times of change, so that files
        that are added, removed or renamed make new ones. Where the content is the same as before in spite of that,
        `name` has noted which converted images these are.
        """
        state = self._state()
        noted = self.work_folder / f"{split}-{state}"
        if noted.exists():
            return noted.resolve()
        return self.folder / f"{self._wanted}-{state}" / f"{split}{self.kind.suffix}"

    def name(self, split: str, place: Path) -> None:
        """Note that a split, in the state in which its folder is now, is converted at `place`.

        Raises:
            RequestError: the cache cannot be written.
        """
        noted = self.work_folder / f"{split}-{self._state()}"
        temporary = noted.with_name(f".{noted.name}.{os.getpid()}")
        with writing(f"data.cache_dir={self.cache_dir}"):
            self.work_folder.mkdir(parents=True, exist_ok=True)
            temporary.symlink_to(os.path.relpath(place, self.work_folder))
            temporary.replace(noted)

    def earlier(self, split: str) -> list[Path]:
        """Where a split of this folder was converted to with these settings, in whatever state it was."""
        return sorted(self.folder.glob(f"{glob.escape(self._wanted)}-*/{split}{self.kind.suffix}"))

    def _state(self) -> str:
        base = Path(self.root).resolve()
        return _hash([each for split in image_tree.SPLITS for each in fingerprint.folder_times(base / split)])

    @property
    def work_folder(self) -> Path:
        """Where splits are written before they are whole, whatever state the image folder is in by then."""
        return self.folder / f".{self._wanted}"

    @property
    def folder(self) -> Path:
        """The folder of all that is converted to this format."""
        return Path(self.cache_dir) / self.kind.name

    @property
    def _wanted(self) -> str:
        base = Path(self.root).resolve()
        return f"{base.name}-{_hash([str(base), list(self.content.values())])}"


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]
