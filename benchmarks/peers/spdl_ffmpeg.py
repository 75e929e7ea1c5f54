"""SPDL with the FFmpeg of the system: its decoder, and its filters for crop, resizing and flip."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import spdl.io
from passes import BATCH, SIDE, Epoch, main, random_box
from spdl.pipeline import PipelineBuilder

AHEAD = 2


def crop(path: str, box: list[int] | None, kernel: str) -> Any:
    """Frame of a crop, or of a random one and half of these mirrored."""
    packets = spdl.io.demux_image(path)
    top, left, high, wide = box or random_box(packets.height, packets.width)
    flip = ",hflip" if box is None and random.random() < 0.5 else ""
    steps = f"crop={wide}:{high}:{left}:{top}:exact=1,scale={SIDE}:{SIDE}:flags={kernel}{flip},format=pix_fmts=rgb24"
    return spdl.io.decode_packets(packets, filter_desc=steps)


def loader(variant: str, folder: Path, threads: int) -> Epoch:
    """The pipeline of SPDL's examples: a stage that decodes and one that puts frames together."""
    paths = [str(path) for path in folder.rglob("*") if path.is_file()]

    def batch(chosen: list[str]) -> Any:
        return spdl.io.to_numpy(spdl.io.convert_frames([crop(path, None, variant) for path in chosen]))

    def epoch() -> Iterator[int]:
        order = random.sample(paths, len(paths))
        batches = [order[at : at + BATCH] for at in range(0, len(order) - BATCH + 1, BATCH)]
        builder = PipelineBuilder().add_source(batches).pipe(batch, concurrency=threads).add_sink(AHEAD)
        pipeline = builder.build(num_threads=threads)
        with pipeline.auto_stop():
            for images in pipeline:
                yield len(images)

    return epoch


def crops(variant: str, paths: list[str], boxes: list[list[int]]) -> bytes:
    """The same filters on given crops."""
    frames = [crop(path, box, variant) for path, box in zip(paths, boxes, strict=True)]
    return np.ascontiguousarray(spdl.io.to_numpy(spdl.io.convert_frames(frames))).tobytes()


if __name__ == "__main__":
    main(loader, crops)
