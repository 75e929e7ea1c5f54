"""Image files decoded by compiled code: the pixels that Pillow finds in them, whatever they are, and its errors."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from resnet_exp.core.errors import RunFailed
from resnet_exp.data.images import image_file
from support.loaders import epoch_of, open_loader
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


# As the original evaluates.
CENTER_CROP = transforms.Compose([transforms.Resize(RESIZE), transforms.CenterCrop(CROP)])


def test_every_kind_of_file_has_the_pixels_that_pillow_finds(tmp_path: Path) -> None:
    root = folder_with(tmp_path, *KINDS)
    ((images, labels),) = epoch_of(open_loader("compiled", root, train=False, batch_size=len(KINDS)), 0)
    assert labels.tolist() == [0] * len(KINDS)
    for name, image in zip(sorted(KINDS), images, strict=True):
        expected = np.asarray(CENTER_CROP(Image.fromarray(image_file.decode(str(root / "val" / "only" / name)))))
        off = np.abs(image.permute(1, 2, 0).numpy().astype(int) - expected)
        assert off.max() <= 1, name


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
    ours, theirs = (epoch_of(open_loader(kind, photos), 3) for kind in ("compiled", "raw"))
    for (one, labels), (other, same_labels) in zip(ours, theirs, strict=True):
        assert torch.equal(labels, same_labels)
        # Bilinear, and the mean of an area.
        assert (one.float() - other.float()).abs().mean((1, 2, 3)).max() < 3


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


def as_jpeg(image: Image.Image, **how: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **how)
    return file.getvalue()


def without(marker: int, jpeg: bytes) -> bytes:
    """A JPEG that lacks the segments of a marker."""
    out, at = bytearray(jpeg[:2]), 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        out += b"" if jpeg[at + 1] == marker else jpeg[at:end]
        at = end
    return bytes(out + jpeg[at:])


def images_of(root: Path, *files: bytes) -> Any:
    """Evaluation images of files, decoded one after the other by one thread."""
    for number, content in enumerate(files):
        path = root / "val" / "only" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    ((images, _),) = epoch_of(open_loader("compiled", root, train=False, batch_size=len(files)), 0)
    return images.permute(0, 2, 3, 1).numpy().astype(int)


def test_a_second_size_that_a_file_hides_is_not_believed(tmp_path: Path) -> None:
    """Behind a marker without length, what looks like one would lead to a frame of 8x8 pixels in a comment."""
    large = photograph(400)
    hidden = bytearray(b"\xff\xd8\xff\xd0\xff\xfe\xff\xff" + bytes(65533) + b"\xff\xfe\x00\x40" + bytes(62))
    frame = b"\xff\xc0\x00\x11\x08\x00\x08\x00\x08\x03"
    hidden[65538 : 65538 + len(frame)] = frame
    jpeg = bytes(hidden) + as_jpeg(large)[2:]
    (image,) = images_of(tmp_path, jpeg)
    assert np.abs(image - np.asarray(CENTER_CROP(Image.open(io.BytesIO(jpeg))))).max() <= 1


def test_an_image_does_not_depend_on_the_one_before(tmp_path: Path) -> None:
    plain = as_jpeg(photograph(seed=5), quality=90)
    moving = without(0xC4, plain)  # as in motion pictures: without the standard tables
    tables_of_its_own = as_jpeg(photograph(seed=6), quality=20, optimize=True)
    images = images_of(tmp_path, tables_of_its_own, moving, plain)
    assert np.abs(images[1] - images[2]).max() <= 1
    with pytest.raises(RunFailed, match=r"1\.jpg cannot be read \("):
        images_of(tmp_path, tables_of_its_own, without(0xDB, plain))
