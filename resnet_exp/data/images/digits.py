"""The dataset that needs no download: scikit-learn's 1,797 handwritten digits as a folder of JPEG files, made once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from resnet_exp.core.files import writing
from resnet_exp.core.locks import held_lock, open_lock

# Part of the folder's name: a change of size, quality or split makes a new folder.
SIZE = 32
JPEG_QUALITY = 95
HELD_OUT_EVERY = 5
# Of 1,797 images in all.
TRAIN_IMAGES = 1437
FOLDER = f"digits-{SIZE}px-q{JPEG_QUALITY}-heldout{HELD_OUT_EVERY}"


def folder_below(cache_dir: str) -> Path:
    """Path of the image folder, whether it exists or not."""
    return Path(cache_dir) / FOLDER


def prepare(cache_dir: str) -> None:
    """Write the image folder below `cache_dir` unless it is there.

    Source: ``sklearn.datasets.load_digits``, the test set of UCI "Optical Recognition of Handwritten Digits" (Alpaydin
    and Kaynak, 1998): 8x8 pixels with 17 gray levels. Image number i is held out when i is a multiple of 5.

    Raises:
        RequestError: the folder cannot be written.
    """
    folder = folder_below(cache_dir)
    if folder.is_dir():
        return
    with writing(f"data.cache_dir={cache_dir}"), held_lock(open_lock(folder.parent / f".{FOLDER}.lock")):
        if not folder.is_dir():
            _write(folder)


def _write(folder: Path) -> None:
    # Imported late: scikit-learn takes a second that only the first run should pay.
    from PIL import Image
    from sklearn.datasets import load_digits

    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    images, labels, *_ = load_digits(return_X_y=True)
    try:
        for number, (pixels, label) in enumerate(zip(images.reshape(-1, 8, 8), labels, strict=True)):
            split = "val" if number % HELD_OUT_EVERY == 0 else "train"
            class_dir = temporary / split / str(label)
            class_dir.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray((pixels * (255 / 16)).round().astype("uint8")).convert("RGB")
            image = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
            image.save(class_dir / f"{number:04d}.jpg", quality=JPEG_QUALITY)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
