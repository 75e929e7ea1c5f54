"""NVIDIA DALI on the CPU.

Variants: ``region`` decodes the rows of the crop, ``whole`` the image; ``fast`` goes with the fast transform of
libjpeg-turbo and without antialiasing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from nvidia.dali import fn, pipeline_def
from passes import BATCH, RATIO, SCALE, SIDE, Epoch, main


def loader(variant: str, folder: Path, threads: int) -> Epoch:
    """The pipeline of DALI's examples for ResNet-50 with the operators of the CPU, to uint8."""
    fast = "fast" in variant

    @pipeline_def(batch_size=BATCH, num_threads=threads, device_id=None, seed=17)
    def pipeline() -> Any:
        files, labels = fn.readers.file(file_root=str(folder), random_shuffle=True, name="files")
        side = SIDE * (1.0 - 2.0 * fn.random.coin_flip())  # a negative side mirrors
        if "region" in variant:
            crops = fn.decoders.image_random_crop(
                files, random_area=list(SCALE), random_aspect_ratio=list(RATIO), use_fast_idct=fast
            )
            return fn.resize(crops, resize_x=side, resize_y=float(SIDE), antialias=not fast), labels
        images = fn.decoders.image(files, use_fast_idct=fast)
        crops = fn.random_resized_crop(
            images, size=[SIDE, SIDE], random_area=list(SCALE), random_aspect_ratio=list(RATIO), antialias=not fast
        )
        return fn.flip(crops, horizontal=fn.random.coin_flip()), labels

    built: Any = pipeline()
    built.build()
    batches = built.epoch_size("files") // BATCH

    def epoch() -> Iterator[int]:
        for _ in range(batches):
            images, _labels = built.run()
            yield len(np.asarray(images.as_tensor()))

    return epoch


def crops(variant: str, paths: list[str], boxes: list[list[int]]) -> bytes:
    """The same operators on given crops."""
    fast = "fast" in variant

    @pipeline_def(batch_size=len(paths), num_threads=1, device_id=None)
    def pipeline() -> Any:
        files, _ = fn.readers.file(files=paths)
        anchor = fn.external_source(lambda: [np.array(box[:2], np.int32) for box in boxes])
        shape = fn.external_source(lambda: [np.array(box[2:], np.int32) for box in boxes])
        if "region" in variant:
            cut = fn.decoders.image_slice(files, anchor, shape, axes=[0, 1], use_fast_idct=fast)
        else:
            cut = fn.slice(fn.decoders.image(files, use_fast_idct=fast), anchor, shape, axes=[0, 1])
        return fn.resize(cut, resize_x=float(SIDE), resize_y=float(SIDE), antialias=not fast)

    built: Any = pipeline()
    built.build()
    (images,) = built.run()
    return np.asarray(images.as_tensor()).tobytes()


if __name__ == "__main__":
    main(loader, crops)
