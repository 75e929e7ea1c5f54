"""A folder of real pictures in every format and mode that image folders are found to hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image

Writer = Callable[[Image.Image, Path], None]


def packaged_pictures() -> dict[str, Image.Image]:
    """Pictures that lie in packages of the lock: two photographs, a portrait, a drawing and a logo with alpha."""
    from sklearn.datasets import load_sample_image

    found = {name: Image.fromarray(load_sample_image(f"{name}.jpg")) for name in ("china", "flower")}
    samples = Path(matplotlib.get_data_path()) / "sample_data"
    for name in ("grace_hopper.jpg", "Minduka_Present_Blue_Pack.png", "logo2.png"):
        with Image.open(samples / name) as picture:
            found[Path(name).stem] = picture.copy()
    return found


def _as(mode: str, suffix: str = "", **options: object) -> Writer:
    def write(picture: Image.Image, path: Path) -> None:
        picture.convert(mode).save(path, suffix or None, **options)

    return write


def _sixteen_bits(picture: Image.Image, path: Path) -> None:
    gray = np.asarray(picture.convert("L")).astype(np.uint16)
    Image.fromarray(gray * 257).save(path)


def _rotated(picture: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # the orientation of a camera that was held upright
    picture.convert("RGB").save(path, exif=exif)


def _palette_of_alphas(picture: Image.Image, path: Path) -> None:
    palette = picture.convert("RGB").quantize(16)
    palette.save(path, transparency=bytes(range(0, 256, 16)))


FORMATS: dict[str, Writer] = {
    "plain.jpg": _as("RGB"),
    "upper.JPEG": _as("RGB", "JPEG", quality=60, subsampling=2),
    "full_color.jpeg": _as("RGB", quality=98, subsampling=0),
    "half_color.jpeg": _as("RGB", quality=90, subsampling=1),
    "progressive.jpg": _as("RGB", progressive=True),
    "gray.jpg": _as("L"),
    "cmyk.jpg": _as("CMYK"),
    "png_named.JPEG": _as("RGB", "PNG"),
    "rotated.jpg": _rotated,
    "color.png": _as("RGB"),
    "alpha.png": _as("RGBA"),
    "gray_alpha.png": _as("LA"),
    "palette.png": _as("P"),
    "palette_of_alphas.png": _palette_of_alphas,
    "bilevel.png": _as("1"),
    "sixteen_bits.png": _sixteen_bits,
    "sixteen_bits.tif": _sixteen_bits,
    "cmyk.tiff": _as("CMYK"),
    "lossy.webp": _as("RGB"),
    "alpha.webp": _as("RGBA"),
    "windows.bmp": _as("RGB"),
    "plain.ppm": _as("RGB"),
    "gray.pgm": _as("L"),
    "ünïcødé 图.jpg": _as("RGB"),
}


def write_mixed_tree(root: Path) -> Path:
    """Write ``root/train`` and ``root/val``: a class a picture, an image a format; the first four formats in val."""
    for label, picture in packaged_pictures().items():
        for number, (name, write) in enumerate(FORMATS.items()):
            # Sides that are no multiple of 8 or 2, as photographs have them.
            small = picture.convert("RGBA").resize((67 + 3 * number, 50 + 5 * number))
            for split in ("train", "val") if number < 4 else ("train",):
                folder = root / split / label
                folder.mkdir(parents=True, exist_ok=True)
                write(small, folder / name)
    deeper = root / "train" / "china" / "deeper"
    deeper.mkdir()
    packaged_pictures()["china"].resize((300, 200)).save(deeper / "plain.jpg")
    return root
