"""ImageNet's three archives in small: the structure of the published ones, with few classes and images."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from scipy.io import savemat

FIELDS = (
    *("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height", "num_train_images"),
)


def jpeg(color: int, side: int = 40) -> bytes:
    """A small JPEG that differs from others."""
    content = io.BytesIO()
    pixels = np.full((side, side, 3), (color % 256, color * 7 % 256, color * 31 % 256), np.uint8)
    Image.fromarray(pixels).save(content, "JPEG")
    return content.getvalue()


def _tar(files: dict[str, bytes], mode: Literal["w", "w:gz"] = "w") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return content.getvalue()


def wnid(number: int) -> str:
    """The WordNet ID of a class, from 1; they are in another order than the numbers, as the published ones."""
    return f"n{9000 - number:08d}"


def write_tars(folder: Path, classes: int = 3, train: int = 4, val: int = 2) -> Path:
    """Write the archives: class N has ``train + N`` images to train on, and `val` to evaluate, in mixed order."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[Any, ...]] = [
        (number, wnid(number), f"class {number}", "", 0, np.zeros(0), 0, train + number)
        for number in range(1, classes + 1)
    ]
    # The root of the tree of words, which is not a class.
    rows.append((classes + 1, "n00001740", "entity", "", classes, np.arange(1, classes + 1), 1, 0))
    synsets = np.array(rows, dtype=[(name, object) for name in FIELDS])
    table = io.BytesIO()
    savemat(table, {"synsets": synsets.reshape(-1, 1)})
    truth = [number % classes + 1 for number in range(classes * val)]
    kit = {
        "data/ILSVRC2012_validation_ground_truth.txt": "".join(f"{number}\n" for number in truth).encode(),
        "data/meta.mat": table.getvalue(),
        "readme.txt": b"ILSVRC2012",
    }
    (folder / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(
        _tar({f"ILSVRC2012_devkit_t12/{name}": data for name, data in kit.items()}, "w:gz")
    )
    images = {f"ILSVRC2012_val_{number + 1:08d}.JPEG": jpeg(100 + number) for number in range(len(truth))}
    (folder / "ILSVRC2012_img_val.tar").write_bytes(_tar(images))
    tars = {
        f"{label}.tar": _tar({f"{label}_{i}.JPEG": jpeg(number * 1000 + i) for i in range(train + number)})
        for number, label in enumerate(map(wnid, range(1, classes + 1)), start=1)
    }
    (folder / "ILSVRC2012_img_train.tar").write_bytes(_tar(tars))
    return folder
