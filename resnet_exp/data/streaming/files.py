"""MDS shards before a run starts: where they are, and whether they are what they should be."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import write_text, writing
from resnet_exp.core.object_store import Remote, is_url
from resnet_exp.core.terminal.text import byte_size, printable, setting
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.cache import MAX_SIDE, ConvertedFormat
from resnet_exp.data.conversion.files import ConvertedFiles, check_number
from resnet_exp.data.conversion.manifest import FIX, Manifest
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.streaming import manifest as mds_manifest
from resnet_exp.data.streaming import mds
from resnet_exp.data.streaming.manifest import MDSManifest
from resnet_exp.data.streaming.shard_cache import ShardStore

ALL_JPEGS = "jpg"
MODES = (ALL_JPEGS, "source")
KIND = ConvertedFormat(
    name="mds",
    content=("max_resolution", "jpeg_quality", "images_per_shard", "write_mode"),
    defaults={"write_mode": ALL_JPEGS},
    suffix="",
    conversion="resnet_exp.data.streaming.conversion.MDSConversion",
)
MOST_IMAGES = 10**9
FETCH_AGAIN = "remove it to fetch it again"


@dataclass(frozen=True)
class MDSShards(ConvertedFiles):
    """The MDS shards of a dataset: those that ``data.loader.remote`` names, or those in the cache.

    The fields are the settings of ``data.loader``, which ``conf/data/streaming.yaml`` explains.
    """

    kind: ClassVar[ConvertedFormat] = KIND
    manifest: ClassVar[type[Manifest]] = MDSManifest

    remote: str | None
    storage_options: Mapping[str, object]
    image_column: str
    label_column: str
    shuffle_block: int
    canonical_nodes: int
    max_resolution: int | None
    jpeg_quality: int
    images_per_shard: int
    write_mode: str = ALL_JPEGS

    @property
    def store(self) -> Remote | None:
        """Where shards are fetched from; None if they are on a disk of this node."""
        url = self.remote
        return Remote(url.rstrip("/"), dict(self.storage_options)) if url and is_url(url) else None

    def place_of(self, root: str, split: str) -> Path:
        """Folder of a split: below the one that the user named, else in the cache, for a URL or for an image folder."""
        named = self.remote
        if not named:
            return self._request(root).place(split)
        if not is_url(named):
            return Path(named) / split
        url = named.rstrip("/")
        name = f"{url.rpartition('/')[2]}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
        return Path(self.cache_dir) / KIND.name / name / split

    def needs_folder(self) -> bool:
        """Whether an image folder is read: not if the settings name shards."""
        return not self.remote

    def is_named(self, split: str) -> bool:
        """Whether the settings name a split's shards."""
        return bool(self.remote)

    @staticmethod
    def named(split: str, place: Path) -> str:
        """The setting that names the folder of both splits, and the split."""
        return f"{setting('data.loader.remote', place.parent)}  {split}"

    def index_of(self, folder: Path) -> mds.Index:
        """The index of a split's folder; raises `RequestError` if it cannot be used."""
        return mds.read_index(folder / mds.INDEX, self.image_column, self.label_column)

    def store_of(self, root: str, split: str) -> ShardStore:
        """The shards of a split, once `prepare` has checked them."""
        folder = self.place_of(root, split)
        return ShardStore(folder, self.index_of(folder), self.store, split)

    def check(self, root: str, options: ConversionOptions) -> dict[str, Path]:
        """See `FormatFiles.check`; of a store, the index of both splits is fetched."""
        remote, places = self.store, self.places(root)
        if remote is not None:
            for split, place in places.items():
                self._fetch_index(remote, split, place)
        missing = super().check(root, options)
        if remote is not None:
            self._check_space(places)
        return missing

    def is_there(self, split: str, place: Path) -> bool:
        """Whether there is a split's folder, or one is named."""
        return self.is_named(split) or place.is_dir()

    def _fetch_index(self, remote: Remote, split: str, place: Path) -> None:
        """Fetch index and manifest of a split, and remove shards that have another content by now."""
        index, manifest = remote.read(f"{split}/{mds.INDEX}"), remote.read(f"{split}.json")
        if index is None:
            raise RequestError(
                f"data.loader.remote={remote.url} has no {split}/{mds.INDEX}; convert the dataset there first"
            )
        before = _known(place)
        with writing(f"data.cache_dir={self.cache_dir}"):
            place.mkdir(parents=True, exist_ok=True)
            write_text(place / mds.INDEX, index.decode(errors="replace"))
            if manifest is None:
                manifests.path_of(place).unlink(missing_ok=True)
            else:
                write_text(manifests.path_of(place), manifest.decode(errors="replace"))
        for shard in self.index_of(place).shards:
            if before.get(shard.name, shard) != shard:
                (place / shard.name).unlink(missing_ok=True)

    def check_split(self, split: str, place: Path, options: ConversionOptions) -> Manifest | None:
        """Check quickly that the shards are whole, as far as they are here."""
        is_remote = self.store is not None
        fix = FETCH_AGAIN if is_remote else "name another folder" if self.remote else FIX
        manifest = mds_manifest.read_manifest(place)
        index = self.index_of(place)
        if manifest is None:
            options.say(f"note: {printable(place)} has no manifest, so its classes are not known")
        else:
            mds_manifest.check_index(place, manifest, fix)
        mds_manifest.check_quickly(place, _there(place, index) if is_remote else index, fix)
        return manifest

    def _check_space(self, places: dict[str, Path]) -> None:
        """Refuse a cache that cannot hold the shards that this node has still to fetch."""
        needed = 0
        for place in places.values():
            index = self.index_of(place)
            needed += index.bytes - _there(place, index).bytes
        free = shutil.disk_usage(next(iter(places.values()))).free
        if needed > free:
            raise RequestError(
                f"data.cache_dir={self.cache_dir} has {byte_size(free)} free, the shards of {self.remote} "
                f"need {byte_size(needed)} more; free some or set data.cache_dir=PATH"
            )

    def verify(self, root: str, split: str, tell: Callable[[int, int], None]) -> MDSManifest:
        """Check every byte of a split's shards, and every image that they were made from.

        `tell` takes how many bytes of how many have been read.

        Raises:
            RequestError: there are no shards, or no manifest to check them against.
            ManifestMismatch: they are not what was written.
            RunFailed: the remote cannot be read.
        """
        place = self.place_of(root, split)
        if (remote := self.store) is not None:
            self._fetch_index(remote, split, place)
        if not (place / mds.INDEX).is_file():
            raise RequestError(
                f"{place} does not exist: there is nothing to verify; convert first, without verify=true"
            )
        manifest, index = mds_manifest.read_manifest(place), self.index_of(place)
        if manifest is None:
            raise RequestError(f"{place} has no manifest to verify it against; convert the dataset again")
        mds_manifest.check_index(place, manifest, FIX)
        # Those that are fetched are checked when they arrive.
        self.store_of(root, split).ensure(range(len(index.shards)))
        mds_manifest.check_fully(place, index, tell)
        if not self.remote:
            manifests.check_all_sources(place, manifest, Path(root) / split)
        return manifest

    def head(self, place: Path) -> bytes | None:
        """See `ConvertedFiles.head`: the index."""
        with contextlib.suppress(OSError):
            return (place / mds.INDEX).read_bytes()
        return None

    def given_manifest(self) -> MDSManifest | None:
        """Manifest of the training shards that settings name; None where they name none, or those have none.

        Raises:
            RequestError: the manifest is damaged.
            RunFailed: the remote cannot be read.
        """
        if not self.remote:
            return None
        place = self.place_of("", "train")
        if (remote := self.store) is not None:
            content = _manifest_at(remote.url, json.dumps(remote.options))
            if content is None:
                return None
            with writing(f"data.cache_dir={self.cache_dir}"):
                place.parent.mkdir(parents=True, exist_ok=True)
                write_text(manifests.path_of(place), content.decode(errors="replace"))
        return mds_manifest.read_manifest(place)

    def facts(self, root: str) -> dict[str, object]:
        """For ``environment.json``: place, images, origin and seal of each split."""
        return {
            split: {"folder": self.remote or str(place), **manifests.manifest_summary(place, self.manifest)}
            for split, place in self.places(root).items()
        }

    def check_settings(self) -> None:
        """Check what shards are written and read with; see `FormatFiles.check_settings`."""
        if self.write_mode not in MODES:
            raise RequestError(f"data.loader.write_mode={self.write_mode} is unknown; use one of {', '.join(MODES)}")
        if self.max_resolution is not None:
            check_number("max_resolution", self.max_resolution, (int,), 1, MAX_SIDE)
        check_number("jpeg_quality", self.jpeg_quality, (int,), 1, 100)
        for key in ("images_per_shard", "shuffle_block", "canonical_nodes"):
            check_number(key, getattr(self, key), (int,), 1, MOST_IMAGES)
        if not isinstance(self.storage_options, Mapping):
            raise RequestError(
                f"data.loader.storage_options={self.storage_options}: use +data.loader.storage_options.KEY=VALUE"
            )
        for key in ("remote", "image_column", "label_column"):
            if not isinstance(value := getattr(self, key), str if key != "remote" else str | None):
                raise RequestError(f"data.loader.{key}={value}: use a text")


def _known(place: Path) -> dict[str, mds.Shard]:
    """The shards of an index as it was fetched before, by name."""
    try:
        return {shard.name: shard for shard in mds.read_shards(place / mds.INDEX)}
    except RequestError:
        return {}


def _there(place: Path, index: mds.Index) -> mds.Index:
    """The part of an index that has been fetched already."""
    return index.of([shard for shard in index.shards if (place / shard.name).is_file()])


@lru_cache
def _manifest_at(url: str, options: str) -> bytes | None:
    return Remote(url, json.loads(options)).read("train.json")
