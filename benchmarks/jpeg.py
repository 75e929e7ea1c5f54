"""What of a JPEG's decoding is left when nothing but its Huffman codes is read: libjpeg-turbo, whole and at 1/8.

    python benchmarks/jpeg.py

CPU time an image, over the photographs of ``benchmarks/data.py`` encoded again with quality 90, as in FFCV files.
At an eighth of the size eight by eight pixels are one: all codes are read, and next to nothing else is done.
"""

from __future__ import annotations

import ctypes
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from data_loaders import generate

from resnet_exp import console

ROUNDS = 7
# Of turbojpeg.h: what FFCV decodes with.
FAST_DCT = 2048
SIZES = {"whole": (500, 375), "at 1/8": (63, 47)}


def milliseconds(library: Any, handle: int, files: list[Any], size: tuple[int, int]) -> float:
    """CPU milliseconds an image to decode all files at a size: width and height in pixels."""
    width, height = size
    out = np.empty((height, width, 3), np.uint8)
    began = time.process_time()
    for file in files:
        source, length = ctypes.c_void_p(file.ctypes.data), ctypes.c_ulong(file.size)
        to = ctypes.c_void_p(out.ctypes.data)
        if library.tjDecompress2(ctypes.c_void_p(handle), source, length, to, width, 0, height, 0, FAST_DCT):
            raise RuntimeError("libjpeg-turbo cannot decode a photograph")
    return 1000 * (time.process_time() - began) / len(files)


def main() -> int:
    """Command line; returns the exit code."""
    library = ctypes.CDLL("libturbojpeg.so.0")
    library.tjInitDecompress.restype = ctypes.c_void_p
    handle = library.tjInitDecompress()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "photos"
        generate(root)
        photos = [cv2.imread(str(path)) for path in sorted((root / "train").rglob("*.jpg"))]
    files = [cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].reshape(-1) for photo in photos]
    console.say(f"{len(files)} JPEGs of {np.mean([file.size for file in files]):,.0f} bytes on average")
    found: dict[str, list[float]] = {name: [] for name in SIZES}
    for _ in range(ROUNDS):
        for name, size in SIZES.items():
            found[name].append(milliseconds(library, handle, files, size))
    for name, values in found.items():
        spread = f"{statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"
        console.say(f"{name:<8}{spread} ms an image")
    return 0


if __name__ == "__main__":
    sys.exit(main())
