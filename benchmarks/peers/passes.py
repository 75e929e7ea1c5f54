"""Passes over the images of a loader, which a process of its own runs and times.

This runs in each peer's environment, so it imports the standard library only. A loader is a function that begins an
epoch: it yields the number of images of each batch as soon as the batch is there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

Epoch = Callable[[], Iterable[int]]
BATCH, SIDE = 64, 176
SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
TICKS = os.sysconf("SC_CLK_TCK")


def random_box(height: int, width: int) -> tuple[int, int, int, int]:
    """Top, left, height and width of a crop, as torchvision's ``RandomResizedCrop`` draws it."""
    for _ in range(10):
        area = height * width * random.uniform(*SCALE)
        ratio = math.exp(random.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            return random.randint(0, height - high), random.randint(0, width - wide), high, wide
    high, wide = min(height, round(width / RATIO[0])), min(width, round(height * RATIO[1]))
    return (height - high) // 2, (width - wide) // 2, high, wide


def cpu_seconds() -> float:
    """CPU time of all threads of this process and of its worker processes."""
    ticks = 0
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            # After the name in parentheses come the state and, 11 words later, user and system time (proc(5)).
            ticks += sum(map(int, Path("/proc", child, "stat").read_text().rpartition(")")[2].split()[11:13]))
    return time.process_time() + ticks / TICKS


def peak_memory() -> float:
    """Peak memory of this process in MiB; ``getrusage`` would count that of the process it was forked from."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def run_pass(epoch: Epoch, rate: float, epochs: int) -> dict[str, float]:
    """Wall milliseconds an image, in all and from the first batch on, and the share of that time spent waiting.

    Until the first batch any pipeline is filled.

    Args:
        epoch: the loader.
        rate: images per second that the consumer takes at most; 0 for one that is always ready.
        epochs: how many.
    """
    images, later, waited, first = 0, 0, 0.0, 0.0
    began = asked = time.monotonic()
    for _ in range(epochs):
        for count in epoch():
            now = time.monotonic()
            if images:
                later, waited = later + count, waited + now - asked
            else:
                first = now
            images += count
            if rate:
                time.sleep(count / rate)
            asked = time.monotonic()
    end = time.monotonic()
    if rate:  # the first batch's time in the device is over before a later batch is taken
        later = images
    return {
        "images": images,
        "wall": 1000 * (end - began) / images,
        "steady": 1000 * (end - first) / later if later else 1000 * (end - began) / images,
        "waited": waited / (end - first) if end > first else 0.0,
    }


def answer(numbers: dict[str, float]) -> None:
    """Write a line of JSON."""
    sys.stdout.write(json.dumps(numbers) + "\n")
    sys.stdout.flush()


def serve(epoch: Epoch, rate: float = 0, epochs: int = 1, first: Epoch | None = None) -> None:
    """Run an epoch, `first` if that is given; then a pass for each line of standard input.

    CPU time of a pass, in milliseconds an image, is what this process took since the pass before: some loaders go on
    to fill their queue when a pass has ended.
    """
    began, busy = time.monotonic(), cpu_seconds()
    for _ in (first or epoch)():
        pass
    answer({"first_pass": time.monotonic() - began, "first_cpu": cpu_seconds() - busy})
    busy = cpu_seconds()
    for _ in sys.stdin:
        found = run_pass(epoch, rate, epochs)
        before, busy = busy, cpu_seconds()
        answer({**found, "cpu": 1000 * (busy - before) / found["images"], "memory": peak_memory()})


def main(loader: Callable[[str, Path, int], Epoch], crops: Callable[[str, list[str], list[list[int]]], bytes]) -> None:
    """Command line of a peer.

    Args:
        loader: begins epochs of random resized crops and flips, from the variant, the folder of class folders, and the
            number of threads that decode.
        crops: given crops of files as uint8, NHWC, from the variant, paths, and boxes (top, left, height, width).
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("variant")
    parser.add_argument("--folder", type=Path, help="of class folders")
    parser.add_argument("--crops", type=Path, help="JSON of paths and boxes; their pixels go to standard output")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    if options.crops:
        wanted = json.loads(options.crops.read_text())
        sys.stdout.buffer.write(crops(options.variant, wanted["paths"], wanted["boxes"]))
        return
    serve(loader(options.variant, options.folder, options.threads), options.rate, options.epochs)
