"""FFCV files of an image folder, and what FFCV's own reader finds in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.ffcv.files import FFCVFiles

SETTINGS = {
    "train_file": None,
    "val_file": None,
    "write_mode": "proportion",
    "max_resolution": 500,
    "compress_probability": 0.5,
    "jpeg_quality": 90,
}
Sample = tuple[int, int, int, int, bytes]


def convert(root: Path, cache: Path, workers: int = 2, **changes: Any) -> tuple[Path, Path]:
    """The files of a tree: train, val."""
    wanted = {**SETTINGS, "cache_dir": str(cache), **changes}
    train, val = FFCVFiles(**wanted).prepare(str(root), ConversionOptions(workers, lambda _: None))
    return train, val


def samples_of(file: Path) -> list[Sample]:
    """Class, mode, width, height and stored bytes of every sample, as FFCV's reader finds them."""
    from ffcv.reader import Reader  # compiles for seconds when it is imported

    reader = Reader(str(file))
    sizes = {int(place["ptr"]): int(place["size"]) for place in reader.alloc_table}
    assert len(sizes) == reader.num_samples
    assert sorted(reader.alloc_table["sample_id"].tolist()) == list(range(reader.num_samples))
    content = file.read_bytes()
    found = []
    for image, label in zip(reader.metadata["f0"], reader.metadata["f1"], strict=True):
        at = int(image["data_ptr"])
        stored = content[at : at + sizes[at]]
        assert at // int(reader.page_size) == (at + len(stored) - 1) // int(reader.page_size), "an image in two pages"
        found.append((int(label), int(image["mode"]), int(image["width"]), int(image["height"]), stored))
    return found
