"""Measure a disk: ``python -m resnet_exp.diagnosis.disk_probe write|read PLACE`` prints one JSON object."""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from resnet_exp.data.images import image_tree

# Of one measurement.
SECONDS = 1.0
BLOCK, MOST_BLOCKS = 2**20, 128
# Files of an image folder to read, taken from this many of its first ones; loaders read with as many threads.
SAMPLED, AMONG, THREADS = 400, 4000, 8


def write(folder: str) -> dict[str, float]:
    """Write a nameless file for a second, to the disk itself: bytes, seconds, and how far ahead its clock is."""
    block, written, free = os.urandom(BLOCK), 0, os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        began = time.perf_counter()
        while written < min(MOST_BLOCKS * BLOCK, max(BLOCK, free // 2)) and time.perf_counter() - began < SECONDS:
            written += file.write(block)
        os.fsync(file.fileno())
        seconds, ahead = time.perf_counter() - began, os.fstat(file.fileno()).st_mtime - time.time()
    return {"bytes": written, "seconds": seconds, "ahead": ahead}


def read(place: str) -> dict[str, float]:
    """Read for a second, from the disk itself: bytes, seconds, size of one file if each is an image, else of all."""
    path = Path(place)
    folder = path.is_dir()
    # Shards and Parquet files are a few large files.
    large = list(path.glob("train*.parquet")) or list(path.glob("*.parquet")) if folder else [path]
    if folder and (path / "index.json").exists():
        large = list(path.iterdir())
    images = not large
    whole = sum(each.stat().st_size for each in large)
    if images:
        files = [Path(name) for name in itertools.islice(image_tree.images(path), AMONG)]
        files = random.Random(0).sample(files, min(SAMPLED, len(files)))
        parts = iter([(file, 0, file.stat().st_size) for file in files])
    else:
        parts = _blocks(large)
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as readers:
        sizes = [size for size in readers.map(lambda part: _read_part(*part, until=began + SECONDS), parts) if size]
    seconds = time.perf_counter() - began
    return {
        "bytes": sum(sizes),
        "seconds": seconds,
        "image_bytes": sum(sizes) / len(sizes) if images and sizes else 0,
        "whole": whole,
    }


def _blocks(files: list[Path]) -> Iterator[tuple[Path, int, int]]:
    """Places all over some files, in no order, each once."""
    places = [(file, start, BLOCK) for file in files for start in range(0, file.stat().st_size, BLOCK)]
    random.Random(0).shuffle(places)
    return iter(places)


def _read_part(file: Path, start: int, size: int, until: float) -> int:
    if time.perf_counter() > until:
        return 0
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.posix_fadvise(descriptor, start, size, os.POSIX_FADV_DONTNEED)
        return len(os.pread(descriptor, size, start))
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"write": write, "read": read}[sys.argv[1]](sys.argv[2])) + "\n")
