"""The data sets in the box: what is in them, and what is said when they cannot be written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from resnet_exp.core.errors import RequestError
from resnet_exp.data.images import image_tree, photographs, shipped
from resnet_exp.results.datasets import KNOWN_IMAGES
from support.loaders import epoch_of, open_loader

pytestmark = pytest.mark.usefixtures("compiled")

NAMES = [one.name for one in photographs.PHOTOGRAPHS]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache, said = str(tmp_path_factory.mktemp("cache")), list[str]()
    for _ in range(2):
        shipped.PHOTOS.prepare(cache, said.append)
    folder = shipped.PHOTOS.folder_below(cache)
    assert said == [f"writing the tiles of photographs into {folder} (once, then reused)"]
    return folder


class Head(NamedTuple):
    kind: str | None
    mode: str
    sides: tuple[int, int]


def head_of(path: str | Path) -> Head:
    with Image.open(path) as image:
        return Head(image.format, image.mode, image.size)


def pixels_of(path: str | Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image, int)


def test_photos_are_all_there_and_as_documented(photos: Path) -> None:
    assert image_tree.check_tree(str(photos), 64, 2) == sorted(NAMES) == NAMES
    for split, tiles in (("train", 130), ("val", 50)):
        paths = list(image_tree.images(photos / split))
        assert len(paths) == tiles * len(NAMES)
        heads = {path: head_of(path) for path in paths}
        sides = [side for head in heads.values() for side in head.sides]
        assert (min(sides), max(sides)) == (56, 96)
        assert {head.kind for head in heads.values()} == {"JPEG"}
        gray = {Path(path).parent.name for path, head in heads.items() if head.mode == "L"}
        assert gray == {"brick", "grass", "gravel"}
    assert (
        shipped.PHOTOS.train_images == KNOWN_IMAGES["photos"] and shipped.DIGITS.train_images == KNOWN_IMAGES["digits"]
    )


def test_the_same_tiles_are_cut_everywhere(photos: Path) -> None:
    sizes = [head_of(photos / split / "cat" / "000.jpg").sides for split in image_tree.SPLITS]
    assert sizes == [(82, 56), (81, 71)]


def test_tiles_to_evaluate_are_of_a_strip_that_is_not_trained_on(tmp_path: Path) -> None:
    """Each pixel of this photograph is half its column."""
    columns = np.tile(np.arange(256, dtype=np.uint8).repeat(2), (100, 1))
    photographs.cut(Image.fromarray(columns), "columns", tmp_path)
    seen = {split: [pixels_of(path) for path in image_tree.images(tmp_path / split)] for split in image_tree.SPLITS}
    # To 3 gray levels, by JPEG; the strip is columns 256 to 384, less 8 on both sides.
    assert all(tile.min() >= 132 - 3 and tile.max() <= 188 + 3 for tile in seen["val"])
    assert all(tile.max() <= 128 + 3 or tile.min() >= 192 - 3 for tile in seen["train"])


def test_both_decoders_see_the_same_pictures(photos: Path) -> None:
    found = [
        epoch_of(open_loader(decoder, photos, train=False, batch_size=550, classes=len(NAMES)), 0)[0]
        for decoder in ("imagefolder", "compiled")
    ]
    (one, labels), (other, same_labels) = found
    assert labels.tolist() == same_labels.tolist()
    # Pillow rounds between two passes; some tiles are decoded at half their size.
    assert (one.float() - other.float()).abs().mean() < 0.5


def test_photographs_that_are_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(RequestError) as error:
        shipped.PHOTOS.prepare(str(tmp_path), lambda _: None)
    assert str(error.value) == photographs.INSTALL
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_photographs_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = tmp_path / "skimage" / "data" / "astronaut.png"
    picture.parent.mkdir(parents=True)
    (tmp_path / "skimage" / "__init__.py").touch()
    Image.new("RGB", (512, 512)).save(picture)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "skimage", raising=False)
    with pytest.raises(RequestError, match="is another photograph than it was; use another version of skimage"):
        photographs.check()
