"""The conversion of one split to MDS shards: a folder of them, an index, and a journal to continue from."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from mmap import mmap
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ClassVar

import numpy as np

from resnet_exp.core.errors import RunFailed
from resnet_exp.core.files import append_line, whole_lines, write_lines
from resnet_exp.core.records import Count, Whole, from_json
from resnet_exp.core.terminal import console
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.base import Conversion
from resnet_exp.data.conversion.encode import Settings
from resnet_exp.data.images import image_tree
from resnet_exp.data.streaming import manifest as mds_manifest
from resnet_exp.data.streaming import mds
from resnet_exp.data.streaming.shard_worker import ShardTask, ShardWorker, TooLarge, Written

SCHEMA = 1
# Neighbors in a shard should not be of one class: images are mixed once, always in the same way.
MIXING_SEED = 0


@dataclass(frozen=True)
class Content:
    """The settings that shards depend on; see ``conf/data/streaming.yaml``."""

    max_resolution: int | None
    jpeg_quality: int
    images_per_shard: Count
    write_mode: str = "jpg"


@dataclass(frozen=True)
class Line:
    """A line of the journal but for the first: a shard, a hash of its images, and what the index says of it."""

    number: Whole
    key: str
    entry: mds.ShardEntry


@dataclass
class MDSConversion(Conversion):
    """One split on its way into one folder of shards; `done` are those that are there, by number."""

    title: ClassVar[str] = mds_manifest.MDSManifest.title

    written_with: dict[str, object]
    shards: list[ShardTask]
    done: dict[int, Written] = field(default_factory=dict)

    @staticmethod
    def begin(folder: Path, target: Path, unfinished: Path, content: Mapping[str, object]) -> MDSConversion:
        """List the images, and check what an earlier try left; `content` are the settings to write with."""
        found = list(image_tree.files(folder))
        wanted = from_json(Content, content)
        settings = Settings(wanted.write_mode, wanted.max_resolution, 0, wanted.jpeg_quality)
        conversion = MDSConversion(folder, target, unfinished, settings, found, written_with=dict(content), shards=[])
        mixed = np.random.default_rng(MIXING_SEED).permutation(len(found)).tolist()
        size = wanted.images_per_shard
        for number, start in enumerate(range(0, len(found), size)):
            images = mixed[start : start + size]
            labels = [found[image].label for image in images]
            conversion.shards.append(ShardTask(number, [conversion.job(image) for image in images], labels))
        conversion.done = {part.number: part for part in conversion.earlier()}
        return conversion

    @property
    def journal(self) -> Path:
        """JSON lines beside the unfinished folder: what they were written with, then a line for each shard."""
        return self.unfinished.with_name(f"{self.unfinished.name}.journal")

    def key(self, task: ShardTask) -> str:
        """A hash of the images of a shard: names, sizes, times of change."""
        keys = "".join(self.sources[job.number].key for job in task.jobs)
        return hashlib.blake2b(keys.encode(), digest_size=16).hexdigest()

    def earlier(self) -> Iterator[Written]:
        """Shards of an earlier try that are intact, and whose images have not changed."""
        lines = whole_lines(self.journal)
        if next(lines, None) != self._head():
            return
        # Up to the first that is none.
        with contextlib.suppress(ValueError):
            for looked, line in enumerate((from_json(Line, each) for each in lines), start=1):
                if line.number >= len(self.shards) or line.key != self.key(self.shards[line.number]):
                    continue
                console.status(f"{self.target.name}: checking what there is, {looked} shards")
                shard = line.entry.shard
                if mds.fault(self.unfinished / shard.name, shard) is None:
                    yield Written(line.number, line.entry, self.shards[line.number].labels)

    def _head(self) -> dict[str, object]:
        return {"schema": SCHEMA, "content": self.written_with, "images": len(self.sources)}

    @property
    def images_there(self) -> int:
        """Images in good shards."""
        return sum(len(part.labels) for part in self.done.values())

    def open(self) -> None:
        """Begin to write: first the intact shards, then those that are added."""
        self.unfinished.mkdir(parents=True, exist_ok=True)
        good = {self.shards[number].name for number in self.done}
        for stale in set(os.listdir(self.unfinished)) - good:
            (self.unfinished / stale).unlink()
        entries = ((part.number, part.entry) for part in self.done.values() if part.entry is not None)
        write_lines(self.journal, [self._head(), *(self._line(number, entry) for number, entry in entries)])

    def _line(self, number: int, entry: mds.ShardEntry) -> dict[str, object]:
        return asdict(Line(number, self.key(self.shards[number]), entry))

    def close(self) -> None:
        """Nothing is held open."""

    def tasks(self) -> Sequence[ShardTask]:
        """The shards that are missing."""
        return [task for task in self.shards if task.number not in self.done]

    def worker(self, connection: Connection, current: mmap, slot: int) -> ShardWorker:
        """A worker that writes shards."""
        return ShardWorker(connection, current, slot, str(self.folder), self.settings, str(self.unfinished))

    def add(self, part: Written | TooLarge) -> None:
        """Note a shard."""
        if isinstance(part, TooLarge):
            raise RunFailed(part.reason)
        self.done[part.number] = part
        # A shard that lacks images is not noted: the next try may not be allowed to skip them.
        if part.entry is not None and len(part.labels) == len(self.shards[part.number].jobs):
            append_line(self.journal, self._line(part.number, part.entry))

    def finish(self) -> None:
        """Write index and manifest, and give the folder its name."""
        parts = [self.done[number] for number in sorted(self.done)]
        content = self.content(self.written_with, [label for part in parts for label in part.labels])
        mds.write_index(self.unfinished, [part.entry for part in parts if part.entry is not None])
        manifests.write_manifest(self.target, mds_manifest.describe(self.unfinished, content))
        os.replace(self.unfinished, self.target)
        self.journal.unlink()

    def bytes_for(self, mean: float, workers: int) -> int:
        """Bytes of all shards."""
        return int(mean * len(self.sources)) + 16 * len(self.sources) + 2**10 * len(self.shards)

    @property
    def bytes_there(self) -> int:
        """Bytes of the good shards."""
        return sum(part.entry.raw_data.bytes for part in self.done.values() if part.entry is not None)
