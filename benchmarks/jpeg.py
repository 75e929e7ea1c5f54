"""Cost and benefit of restart markers: libjpeg-turbo's time for JPEGs without them, with them, and for crops.

    python benchmarks/jpeg.py

CPU time an image, over the photographs of ``benchmarks/data.py`` encoded again with quality 90, as in FFCV files. Crops
are those of a training epoch of ``benchmarks/data.py``; finding and copying their segments is included. At an eighth of
the size, a block of eight by eight pixels becomes one: all Huffman codes are read, and little else is done.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from data_loaders import generate
from jpeg_passes import WIDTH, crops, encoded, whole

from resnet_exp.core.terminal import console
from resnet_exp.data.conversion.encode import restart_interval
from resnet_exp.data.kernels.jpeg import EIGHTHS

ROUNDS = 7


def main() -> int:
    """Command line; returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "photos"
        generate(root)
        ours = restart_interval(WIDTH)
        files = {interval: encoded(root, interval) for interval in (0, ours, 1)}
    sizes = {interval: float(np.mean([file.size for file in files[interval]])) for interval in files}
    console.say(f"{len(files[0])} photographs; bytes on average:")
    for interval, size in sizes.items():
        console.say(f"interval {interval}: {size:,.0f}, {100 * (size / sizes[0] - 1):+.1f} %")
    variants = {
        "whole, no markers": whole(files[0], EIGHTHS),
        "whole, no markers, at 1/8": whole(files[0], 1),
        **{f"whole, interval {interval}": whole(files[interval], EIGHTHS) for interval in (ours, 1)},
        **{f"crops, interval {interval}": crops(files[interval]) for interval in (ours, 1)},
    }
    found: dict[str, list[float]] = {name: [] for name in variants}
    # The first pass compiles.
    for number in range(ROUNDS + 1):
        for name, work in variants.items():
            began = time.process_time()
            work()
            if number:
                found[name].append(1000 * (time.process_time() - began) / len(files[0]))
    for name, values in found.items():
        ratios = [value / plain for value, plain in zip(values, found["whole, no markers"], strict=True)]
        console.say(f"{name:<28}{_spread(values)} ms an image, {_spread(ratios)} of the first")
    return 0


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"


if __name__ == "__main__":
    sys.exit(main())
