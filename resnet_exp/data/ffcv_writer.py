"""Writes FFCV files in a process of its own: ``python -m resnet_exp.data.ffcv_writer JSON``.

FFCV 1.0.2's writer waits for ever when a worker dies, so a watcher ends the process instead. A line on standard error
says why.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any, ClassVar

import ffcv.writer
import numpy as np
import numpy.typing as npt
from ffcv.fields import IntField, RGBImageField
from ffcv.writer import DatasetWriter
from tqdm import tqdm

from resnet_exp import tree
from resnet_exp.data.ffcv_files import REASON, partial_of
from resnet_exp.data.images import load_rgb
from resnet_exp.errors import EXIT_FAILED, RunFailed
from resnet_exp.processes import die_with_parent

MAX_SIDE = 2**16 - 1  # FFCV stores a side in 16 bits


class RGBImages(Sequence[tuple[npt.NDArray[np.uint8], int]]):
    """Decoded images for FFCV's writer; an image that it cannot take is told to the parent."""

    def __init__(self, samples: list[tuple[str, int]], max_resolution: int, problems: SimpleQueue[str]) -> None:
        """`samples` are paths and class numbers."""
        self.samples, self.max_resolution, self.problems = samples, max_resolution, problems

    def __len__(self) -> int:
        """Number of images."""
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.uint8], int]:  # pyright: ignore
        """Pixels, uint8 HWC, and class number."""
        path, label = self.samples[index]
        try:
            image = np.asarray(load_rgb(path))
            self._check(path, *image.shape[:2])
        except RunFailed as error:
            self.problems.put(str(error))
            raise
        return image, label

    def _check(self, path: str, height: int, width: int) -> None:
        longest, shortest = max(height, width), min(height, width)
        if longest > MAX_SIDE or shortest * min(1.0, self.max_resolution / longest) < 1:
            raise RunFailed(
                f"image {path} ({width}x{height} pixels) is too long and thin for FFCV; remove it from dataset.dir"
            )


class _Worker(multiprocessing.Process):
    """A writer process that is remembered, so that its death is seen."""

    started: ClassVar[list[multiprocessing.Process]] = []

    def start(self) -> None:
        super().start()
        self.started.append(self)

    def run(self) -> None:
        die_with_parent(signal.SIGKILL)
        super().run()


def _watch(problems: SimpleQueue[str]) -> None:
    """End this process, with a line that says why, when a worker of the writer dies."""
    while True:
        time.sleep(0.2)
        dead = [worker.exitcode for worker in _Worker.started if worker.exitcode]
        if dead or not problems.empty():
            time.sleep(0.5)
            reason = f"a process of the writer died (exit code {dead[0]})" if problems.empty() else problems.get()
            os.write(2, f"\n{REASON}{reason}\n".encode())
            os._exit(EXIT_FAILED)


def write(request: dict[str, Any]) -> None:
    """Write FFCV files, one an image folder; see `resnet_exp.data.ffcv_files`."""
    problems: SimpleQueue[str] = multiprocessing.SimpleQueue()
    ffcv.writer.Process = _Worker
    threading.Thread(target=_watch, args=(problems,), daemon=True).start()
    for source, target in request["files"]:
        # On standard output and on terminals only: standard error is for what went wrong.
        bar = partial(tqdm, desc=f"converting {source}", unit=" images", file=sys.stdout, disable=None)
        ffcv.writer.tqdm = bar
        field = RGBImageField(
            write_mode=request["write_mode"],
            max_resolution=request["max_resolution"],
            compress_probability=request["compress_probability"],
            jpeg_quality=request["jpeg_quality"],
        )
        unfinished = partial_of(Path(target))
        writer = DatasetWriter(str(unfinished), {"image": field, "label": IntField()}, num_workers=request["workers"])
        images = RGBImages(tree.samples(Path(source)), request["max_resolution"], problems)
        writer.from_indexed_dataset(images, chunksize=16)
        unfinished.rename(target)


if __name__ == "__main__":
    write(json.loads(sys.argv[1]))
