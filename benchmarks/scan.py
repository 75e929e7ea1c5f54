"""How long a tree of images is read for its fingerprint, against torchvision's ``ImageFolder``.

    python benchmarks/scan.py --images 100000

CPU time. The files are tiny and in the system's cache: this is the time of names, sizes, times and hashes, not that of
a disk or a network.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from torchvision.datasets import ImageFolder

from resnet_exp.core.terminal import console
from resnet_exp.data.images import fingerprint, image_tree

ROUNDS, CLASSES = 5, 1000
IMAGENET = 1_281_167


def main() -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        split = Path(folder) / "train"
        for number in range(images):
            file = split / f"n{number % CLASSES:08d}" / f"n{number % CLASSES:08d}_{number}.JPEG"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(bytes(number % 97))
        variants: dict[str, Callable[[], object]] = {
            "ImageFolder of torchvision: names": lambda: ImageFolder(str(split), allow_empty=True),
            "names": lambda: image_tree.samples(split),
            "names, sizes and times": lambda: list(image_tree.files(split)),
            "the whole fingerprint, with 128 images read": lambda: _scan(split),
        }
        for name, run in variants.items():
            seconds = [_seconds(run) for _ in range(ROUNDS)]
            middle, many = statistics.median(seconds), IMAGENET / images
            console.say(
                f"{name}: {middle:.2f} s [{min(seconds):.2f}-{max(seconds):.2f}] for {images:,} images, "
                f"{1e6 * middle / images:.1f} µs an image; times {many:.1f}: {middle * many:.1f} s"
            )
    return 0


def _scan(split: Path) -> object:
    return fingerprint.state_of(split, image_tree.class_names(split), image_tree.files(split))


def _seconds(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())
