"""The decoder alone: ours against libjpeg-turbo, for whole photographs and for crops.

    python benchmarks/jpeg.py

CPU time an image on one thread, over the photographs of ``benchmarks/data.py`` as they are, with restart markers as
``write_mode=source`` puts them in, and with an index. Crops are those of torchvision's ``RandomResizedCrop``. Both
make the same pixels, with the accurate transform; files are in memory, and nothing is resized.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data_loaders import generate
from torchvision.transforms import RandomResizedCrop

from resnet_exp.core.terminal import console
from resnet_exp.data.kernels.batch import make_scratch, to_read
from resnet_exp.data.kernels.decoder.ready import sizes_of
from resnet_exp.data.kernels.decoder.window import decode
from resnet_exp.data.kernels.jit import kernel, sources_digest
from resnet_exp.data.kernels.jpeg import EIGHTHS, Window, decode_whole, window_for_crop
from resnet_exp.data.kernels.lossless import source

ROUNDS = 7
HEIGHT, WIDTH = SHAPE = 375, 500
SCALE, RATIO = [0.08, 1.0], [3 / 4, 4 / 3]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def _make(sources: str) -> Callable[..., tuple[bool, int]]:
    def run(data: Any, points: Any, need: Any, ours: bool, scratch: Any) -> Any:
        good, length = False, len(sources)
        if ours:
            good, _ = decode(
                data, points, SHAPE, need, EIGHTHS, False, scratch.decoder, scratch.header, scratch.decoded
            )
        else:
            good = decode_whole(data, scratch.decoded, HEIGHT, WIDTH, False) == 0
        return good, length

    return kernel(run)


_run = _make(sources_digest())


def passes(files: list[Bytes], points: list[Bytes], needs: list[Window], ours: bool = True) -> Callable[[], None]:
    """A function that decodes every image once."""
    scratch = make_scratch(sizes_of(*SHAPE), 176)

    def work() -> None:
        for file, known, need in zip(files, points, needs, strict=True):
            if not _run(file, known, need, ours, scratch)[0]:
                raise RuntimeError("a photograph cannot be decoded")

    return work


def _photographs() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "photos"
        generate(root)
        return [path.read_bytes() for path in sorted((root / "train").rglob("*.jpg"))]


def _marked(content: bytes) -> Bytes:
    marked = source.marked(content)
    assert marked is not None
    return to_read(marked.content)


def _points(content: bytes) -> Bytes:
    return to_read(np.frombuffer(source.points_of(content).astype(">u8").tobytes(), np.uint8))


def main() -> int:
    """Command line; returns the exit code."""
    contents = _photographs()
    plain = [to_read(np.frombuffer(content, np.uint8)) for content in contents]
    marked = [_marked(content) for content in contents]
    points = [
        to_read(np.frombuffer(source.points_of(content).astype(">u8").tobytes(), np.uint8)) for content in contents
    ]
    none = [to_read(np.empty(0, np.uint8))] * len(plain)
    for name, found in (("marked", marked), ("index", points)):
        share = sum(map(len, found)) / sum(map(len, plain))
        console.say(f"{name}: {100 * share:.2f} % of the bytes of {len(plain)} photographs")
    torch.manual_seed(17)
    boxes = [RandomResizedCrop.get_params(torch.empty(3, *SHAPE), SCALE, RATIO) for _ in plain]
    crops, wholes = [window_for_crop(box, *SHAPE, EIGHTHS) for box in boxes], [Window(0, 0, *SHAPE)] * len(plain)
    variants = {
        "libjpeg-turbo, whole": passes(plain, none, wholes, ours=False),
        "libjpeg-turbo, whole, marked": passes(marked, none, wholes, ours=False),
        "ours, whole": passes(plain, none, wholes),
        "ours, crops": passes(plain, none, crops),
        "ours, crops, marked": passes(marked, none, crops),
        "ours, crops, index": passes(plain, points, crops),
    }
    times: dict[str, list[float]] = {name: [] for name in variants}
    # The first pass compiles.
    for number in range(ROUNDS + 1):
        for name, work in variants.items():
            began = time.process_time()
            work()
            if number:
                times[name].append(1000 * (time.process_time() - began) / len(plain))
    for name, values in times.items():
        ratios = [value / first for value, first in zip(values, times["libjpeg-turbo, whole"], strict=True)]
        console.say(f"{name:<30}{_spread(values)} ms an image, {_spread(ratios)} of the first")
    return 0


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"


if __name__ == "__main__":
    sys.exit(main())
