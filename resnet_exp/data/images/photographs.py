"""Tiles of eleven photographs that Python packages ship: a data set of real photographs that needs no download.

The class of a tile is the photograph that it was cut from. Tiles to evaluate come from a strip of each photograph that
no tile to train on shows.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import random
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from resnet_exp.core.errors import RequestError

if TYPE_CHECKING:
    from PIL import Image

# Tiles of a photograph, and their sides in pixels. A change of these, or of what follows, needs another FOLDER.
TRAIN_TILES, VAL_TILES = 130, 50
SHORTEST, LONGEST = 56, 96
JPEG_QUALITY = 90
FOLDER = "photos-1"
# Where the strip to evaluate is, in parts of the width; pixels left out on both of its sides.
STRIP, GAP = (1 / 2, 3 / 4), 8
INSTALL = "dataset=photos needs the photographs of scikit-image; pip install 'resnet_exp[photos]'"


class Photograph(NamedTuple):
    """A photograph: the class of its tiles, its package, its file there, and how the file's SHA-256 begins."""

    name: str
    package: str
    file: str
    sha256: str


# THIRD_PARTY.md says who made them, and their licenses.
PHOTOGRAPHS = (
    Photograph("astronaut", "skimage", "data/astronaut.png", "88431cd9653ccd53"),
    Photograph("brick", "skimage", "data/brick.png", "7966caf324f6ba84"),
    Photograph("cat", "skimage", "data/chelsea.png", "596aa1e7cb875eb7"),
    Photograph("china", "sklearn", "datasets/images/china.jpg", "8378025ad2519d64"),
    Photograph("coffee", "skimage", "data/coffee.png", "cc02f8ca188b167c"),
    Photograph("flower", "sklearn", "datasets/images/flower.jpg", "a77f6ec41e353afd"),
    Photograph("galaxies", "skimage", "data/hubble_deep_field.jpg", "3a19c5dd8a927a93"),
    Photograph("grass", "skimage", "data/grass.png", "b6b6022426b38936"),
    Photograph("gravel", "skimage", "data/gravel.png", "c48615b451bf1e60"),
    Photograph("portrait", "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "a8ca6d734765703b"),
    Photograph("rocket", "skimage", "data/rocket.jpg", "c2dd0de7c538df8d"),
)


def write(folder: Path) -> None:
    """Write the tiles as ``folder/train|val/<photograph>/<number>.jpg``, 4:2:0, gray where the photograph is.

    Raises:
        RequestError: a photograph is missing, or is not the one that the tiles are of.
    """
    # Imported late: it takes a tenth of a second.
    from PIL import Image

    for name, content in check().items():
        with Image.open(io.BytesIO(content)) as image:
            cut(image if image.mode == "L" else image.convert("RGB"), name, folder)


def check() -> dict[str, bytes]:
    """Content of the file of each photograph, by its name.

    Raises:
        RequestError: a photograph is missing, or is not the one that the tiles are of.
    """
    return {one.name: _read(one) for one in PHOTOGRAPHS}


def _read(photograph: Photograph) -> bytes:
    # The package itself is not imported, which takes a second.
    spec = importlib.util.find_spec(photograph.package)
    places = (spec and spec.submodule_search_locations) or []
    path = next((path for place in places if (path := Path(place, photograph.file)).is_file()), None)
    if path is None:
        raise RequestError(INSTALL)
    content = path.read_bytes()
    if not hashlib.sha256(content).hexdigest().startswith(photograph.sha256):
        raise RequestError(
            f"dataset=photos: {path} is another photograph than it was; use another version of {photograph.package}"
        )
    return content


def cut(photograph: Image.Image, name: str, folder: Path) -> None:
    """Write the tiles of a photograph of 500 pixels or so as ``folder/train|val/name/<number>.jpg``."""
    left, right = (int(part * photograph.width) for part in STRIP)
    # `random.random` draws the same numbers in every version of Python.
    draw = random.Random(name).random
    for split, parts, tiles in (
        ("train", ((0, left), (right, photograph.width)), TRAIN_TILES),
        ("val", ((left + GAP, right - GAP),), VAL_TILES),
    ):
        class_dir = folder / split / name
        class_dir.mkdir(parents=True)
        widths = [end - begin for begin, end in parts]
        for number in range(tiles):
            begin, end = parts[0] if draw() * sum(widths) < widths[0] else parts[-1]
            width, height = (SHORTEST + int(draw() * (LONGEST - SHORTEST + 1)) for _ in range(2))
            x = begin + int(draw() * (end - begin - width + 1))
            y = int(draw() * (photograph.height - height + 1))
            tile = photograph.crop((x, y, x + width, y + height))
            tile.save(class_dir / f"{number:03d}.jpg", quality=JPEG_QUALITY)
