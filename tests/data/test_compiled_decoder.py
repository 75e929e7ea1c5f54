"""Image files decoded by compiled code: the pixels that Pillow finds in them, whatever they are, and its errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from resnet_exp.core.errors import RunFailed
from resnet_exp.data.images import image_file
from support.loaders import epoch_of, open_loader, same
from support.photos import write_photos

pytestmark = pytest.mark.usefixtures("compiled")

CROP, RESIZE = 32, 40
SQUARE = 60


def photograph(side: int = SQUARE, seed: int = 0) -> Image.Image:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 2**16, (SQUARE, SQUARE)).astype(np.uint16))


def with_garbage(path: Path) -> None:
    """Bytes that libjpeg-turbo warns of, and that Pillow takes."""
    photograph().save(path)
    content = path.read_bytes()
    path.write_bytes(content[:-2] + bytes(5) + content[-2:])


# What libjpeg-turbo decodes, with its fast transform; Pillow's is the accurate one.
BY_LIBJPEG = ("rgb.jpg", "gray.jpg", "progressive.jpg", "full-color.jpeg", "jpeg-in-truth.png")
KINDS: dict[str, Any] = {
    "rgb.jpg": lambda path: photograph().save(path, quality=95),
    "gray.jpg": lambda path: photograph().convert("L").save(path),
    "cmyk.jpg": lambda path: photograph().convert("CMYK").save(path),
    "progressive.jpg": lambda path: photograph().save(path, progressive=True),
    "full-color.jpeg": lambda path: photograph().save(path, subsampling=0),
    "garbage.jpg": with_garbage,
    "png-in-truth.jpg": lambda path: photograph().save(path, "PNG"),
    "rgb.png": lambda path: photograph().save(path),
    "alpha.png": lambda path: photograph().convert("RGBA").save(path),
    "palette.png": lambda path: photograph().quantize(200).save(path),
    "sixteen.png": lambda path: sixteen_bits().save(path),
    "jpeg-in-truth.png": lambda path: photograph().save(path, "JPEG"),
}


def folder_with(root: Path, *names: str) -> Path:
    for split in ("train", "val"):
        (root / split / "only").mkdir(parents=True)
        for name in names:
            KINDS[name](root / split / "only" / name)
    return root


def center_crop(pixels: Any) -> Any:
    side = int(CROP / RESIZE * min(pixels.shape[:2]))
    at = (pixels.shape[0] - side) // 2
    return cv2.resize(pixels[at : at + side, at : at + side], (CROP, CROP), interpolation=cv2.INTER_AREA)


def test_every_kind_of_file_has_the_pixels_that_pillow_finds(tmp_path: Path) -> None:
    root = folder_with(tmp_path, *KINDS)
    ((images, labels),) = epoch_of(open_loader("compiled", root, train=False, batch_size=len(KINDS)), 0)
    assert labels.tolist() == [0] * len(KINDS)
    for name, image in zip(sorted(KINDS), images, strict=True):
        expected = center_crop(image_file.decode(str(root / "val" / "only" / name)))
        off = np.abs(image.permute(1, 2, 0).numpy().astype(int) - expected)
        assert off.mean() < 2 if name in BY_LIBJPEG else off.max() <= 1, name


def test_a_file_without_pixels_is_named(tmp_path: Path) -> None:
    for number, damage in enumerate(("cut off", "no image", "empty", "gone")):
        root = folder_with(tmp_path / str(number), "rgb.jpg", "rgb.png")
        path = root / "train" / "only" / "rgb.jpg"
        content = path.read_bytes()
        loader = open_loader("compiled", root, batch_size=2)
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes({"cut off": content[:-300], "no image": b"text", "empty": b""}[damage])
        with pytest.raises(RunFailed, match=r"image .*/train/only/rgb\.jpg cannot be read \("):
            epoch_of(loader, 0)


def test_a_claim_of_too_many_pixels_is_refused(tmp_path: Path) -> None:
    root = folder_with(tmp_path, "rgb.jpg")
    path = root / "train" / "only" / "rgb.jpg"
    content = bytearray(path.read_bytes())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = b"\xff" * 4
    path.write_bytes(content)
    with pytest.raises(RunFailed, match=r"rgb\.jpg cannot be read \("):
        epoch_of(open_loader("compiled", root, batch_size=1), 0)


def test_crops_and_flips_are_those_of_converted_files(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    for path in [*photos.rglob("*.jpg")]:
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    assert same(epoch_of(open_loader("compiled", photos), 3), epoch_of(open_loader("raw", photos), 3))


def test_jpegs_are_decoded_no_larger_than_their_crops_need(tmp_path: Path) -> None:
    for number in range(8):
        path = tmp_path / "train" / "only" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photograph(400, number).save(path, quality=95, subsampling=0)
    small, whole = (
        epoch_of(open_loader(kind, tmp_path, batch_size=8, hflip=False, crop_scale=(0.9, 1.0)), 0)[0][0].float()
        for kind in ("compiled", "imagefolder")
    )
    assert small.shape == whole.shape == (8, 3, CROP, CROP)
    means = [images.mean((1, 2, 3)).sort().values for images in (small, whole)]
    assert (means[0] - means[1]).abs().max() < 4, "the same images, in another order, with other crops"
