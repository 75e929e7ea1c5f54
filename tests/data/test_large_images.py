"""The format decides how large an image may be: pages of FFCV bound its pixels, shards do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.data.conversion.encode import encode
from resnet_exp.data.ffcv.conversion import FFCVConversion
from resnet_exp.data.streaming.conversion import MDSConversion
from resnet_exp.data.streaming.files import MDSShards
from support.loaders import shard_settings

# 22.6 million pixels: more than the 2^26 bytes of FFCV's page for images that keep their size.
WIDTH, HEIGHT = 4800, 4700


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A split with one large image."""
    (tmp_path / "train" / "one").mkdir(parents=True)
    Image.new("RGB", (WIDTH, HEIGHT), "navy").save(tmp_path / "train" / "one" / "large.jpg")
    return tmp_path / "train"


def test_a_shard_takes_an_image_that_no_page_of_ffcv_holds(large: Path, tmp_path: Path) -> None:
    content = {"max_resolution": None, "jpeg_quality": 90, "images_per_shard": 512}
    conversion = MDSConversion.begin(large, tmp_path / "shards", tmp_path / "partial", content)
    encoded = encode(str(large / "one" / "large.jpg"), "one/large.jpg", conversion.settings)
    assert (encoded.width, encoded.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("mode", ["raw", "jpg"])
def test_a_page_of_ffcv_bounds_its_images(mode: str, large: Path, tmp_path: Path) -> None:
    content = {"write_mode": mode, "max_resolution": None, "compress_probability": 0.5, "jpeg_quality": 90}
    conversion = FFCVConversion.begin(large, tmp_path / "train.ffcv", tmp_path / "partial", content)
    with pytest.raises(RunFailed, match=r"\(4800x4700 pixels\) is too large to be stored; set data.loader.max_resol"):
        encode(str(large / "one" / "large.jpg"), "one/large.jpg", conversion.settings)
    smaller = {**content, "max_resolution": 4000}
    conversion = FFCVConversion.begin(large, tmp_path / "train.ffcv", tmp_path / "partial", smaller)
    assert encode(str(large / "one" / "large.jpg"), "one/large.jpg", conversion.settings).width == 4000


def test_the_longest_side_of_a_shard_is_that_of_a_jpeg(tmp_path: Path) -> None:
    MDSShards(**shard_settings(tmp_path, max_resolution=65_535)).check_settings()
    with pytest.raises(RequestError, match="max_resolution=65536 is out of range; use 1 to 65535"):
        MDSShards(**shard_settings(tmp_path, max_resolution=65_536)).check_settings()
