"""A worker of a conversion to MDS shards: a task is a whole shard."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from resnet_exp.core.errors import RunFailed
from resnet_exp.data.conversion.worker import IMAGES_A_REPORT, NOTHING, TASK_DONE, ImageWorker, Job
from resnet_exp.data.streaming import mds


@dataclass(frozen=True)
class ShardTask:
    """The images of shard `number`, and their class numbers."""

    number: int
    jobs: list[Job]
    labels: list[int]

    @property
    def name(self) -> str:
        """Name of the file, as ``streaming.MDSWriter`` has it."""
        return f"shard.{self.number:05d}.mds"


@dataclass(frozen=True)
class Written:
    """A shard that has been written: its entry in the index, None if none of its images could be converted."""

    number: int
    entry: mds.ShardEntry | None
    labels: list[int]


@dataclass(frozen=True)
class TooLarge:
    """A shard that cannot be written, and the line that says why."""

    reason: str


@dataclass
class ShardWorker(ImageWorker):
    """Writes shards into the folder `into`."""

    into: str

    def work(self) -> None:
        """Make all shards."""
        while (task := self.next_task()) is not None:
            try:
                self.connection.send(self._written(task))
            except RunFailed as error:
                self.connection.send(TooLarge(str(error)))
            self.connection.send(TASK_DONE)

    def _written(self, task: ShardTask) -> Written:
        samples: list[tuple[bytes, int]] = []
        for done, (job, label) in enumerate(zip(task.jobs, task.labels, strict=True), start=1):
            if (encoded := self.encoded(job)) is not None:
                samples.append((encoded.content.tobytes(), label))
            if done % IMAGES_A_REPORT == 0 or done == len(task.jobs):
                self.connection.send(IMAGES_A_REPORT if done % IMAGES_A_REPORT == 0 else done % IMAGES_A_REPORT)
        self.note(NOTHING)
        labels = [label for _, label in samples]
        if not samples:
            return Written(task.number, None, labels)
        content = mds.shard_bytes(samples)
        _write(Path(self.into) / task.name, content)
        return Written(task.number, mds.entry_of(task.name, content, len(samples)), labels)


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f"{path.name}.partial")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
