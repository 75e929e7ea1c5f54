"""``write_mode=source``: the JPEGs of the files in FFCV files and shards, and what becomes of all other files."""

from __future__ import annotations

import io
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_exp.core.errors import RunFailed
from resnet_exp.data.conversion.encode import AS_IT_IS, ENCODED, Settings, encode
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.ffcv import layout
from resnet_exp.data.ffcv.conversion import FFCVConversion
from resnet_exp.data.images import image_tree
from resnet_exp.data.images.image_file import to_rgb
from resnet_exp.data.streaming.files import MDSShards
from support.commands import RunCli, left_running
from support.conversions import RunConvert, line_of, many_photos, picture, processes_of, wait_for
from support.ffcv_files import convert, samples_of
from support.loaders import shard_settings
from support.mixed_tree import write_mixed_tree
from support.photos import PhotoTree

pytestmark = pytest.mark.usefixtures("compiled")
SOURCE = Settings("source", None, 0.5, 90)
WRITER = "resnet_exp.data.writer"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixed_tree(tmp_path_factory.mktemp("mixed"))


def rgb_of(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(to_rgb(image))


def keeps_pixels(path: Path) -> bool:
    """Whether a file is a JPEG that readers of converted images decode."""
    with Image.open(path) as image:
        return image.format == "JPEG" and image.mode in ("RGB", "L")


def test_jpegs_keep_their_pixels_and_others_are_encoded(mixed: Path, tmp_path: Path) -> None:
    train, val = convert(mixed, tmp_path, write_mode="source")
    for split, file in (("train", train), ("val", val)):
        paths = [mixed / split / image.name for image in image_tree.files(mixed / split)]
        samples = samples_of(file)
        assert len(samples) == len(paths)
        for path, (_, mode, width, height, stored) in zip(paths, samples, strict=True):
            pixels = rgb_of(path.read_bytes())
            assert (mode, height, width) == (layout.JPEG, *pixels.shape[:2])
            if keeps_pixels(path):
                assert np.array_equal(rgb_of(stored), pixels), path
                assert len(stored) <= 1.03 * path.stat().st_size
            else:
                assert stored == encode(str(path), path.name, Settings("jpg", None, 0.5, 90)).content.tobytes()


def test_shards_have_the_same_jpegs(mixed: Path, tmp_path: Path, run_cli: RunCli) -> None:
    where = ["data=streaming", f"dataset.dir={mixed}", f"data.cache_dir={tmp_path}", "data.loader.write_mode=source"]
    done = run_cli(*where, module="resnet_exp.convert")
    assert (done.returncode, done.stderr) == (0, "")
    assert "train: 5 images of these without restart markers, stored as it is" in done.stdout
    assert "train: 80 images of these without restart markers, encoded anew" in done.stdout
    verified = run_cli(*where, "verify=true", module="resnet_exp.convert")
    assert (verified.returncode, verified.stderr) == (0, "")
    shards = b"".join(path.read_bytes() for path in tmp_path.rglob("*.mds"))
    train, val = convert(mixed, tmp_path, write_mode="source")
    assert all(stored in shards for file in (train, val) for *_, stored in samples_of(file))


def test_what_is_written_from_other_settings_keeps_its_name(tmp_path: Path) -> None:
    """A setting that is new in a version must not let what an earlier one has converted be converted again."""
    usual, source = (
        MDSShards(**shard_settings(tmp_path, **more))._request("photos") for more in ({}, {"write_mode": "source"})
    )
    assert list(usual.content) == ["max_resolution", "jpeg_quality", "images_per_shard"]
    assert source.content == {**usual.content, "write_mode": "source"}


def test_ways_to_store_a_file(mixed: Path) -> None:
    folder = mixed / "train" / "china"
    found = {name: encode(str(folder / name), name, SOURCE) for name in ("plain.jpg", "progressive.jpg", "color.png")}
    assert [each.unmarked for each in found.values()] == [None, AS_IT_IS, ENCODED]
    assert found["progressive.jpg"].content.tobytes() == (folder / "progressive.jpg").read_bytes()


def test_pages_hold_the_largest_file(tmp_path: Path) -> None:
    (tmp_path / "train" / "one").mkdir(parents=True)
    file = tmp_path / "train" / "one" / "large.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, quality=100, subsampling=0)
    assert file.stat().st_size > layout.PAGE_BYTES / 2
    content = {"write_mode": "source", "max_resolution": 500, "compress_probability": 0.5, "jpeg_quality": 90}
    conversion = FFCVConversion.begin(tmp_path / "train", tmp_path / "train.ffcv", tmp_path / "partial", content)
    assert conversion.journal.layout.page_bytes == 2 * layout.PAGE_BYTES
    assert encode(str(file), "large.jpg", conversion.settings).width == 1200
    with pytest.raises(RunFailed, match=r"large.jpg \(1200x1200 pixels\) is too large to be stored; set"):
        encode(str(file), "large.jpg", Settings("source", None, 0.5, 90, most_bytes=2**20))


@pytest.mark.parametrize("kind", ["ffcv", pytest.param("streaming", marks=pytest.mark.soak)])
@pytest.mark.slow
def test_a_conversion_that_is_killed_goes_on(
    kind: str, tmp_path: Path, photo_tree: PhotoTree, run_convert: RunConvert
) -> None:
    noise = Image.effect_noise((400, 300), 60).convert("RGB")
    many_photos(photo_tree(), 1500, noise)
    words = [f"data={kind}", "data.loader.write_mode=source"]
    more = ["data.loader.images_per_shard=64"] if kind == "streaming" else []
    started = subprocess.Popen(
        line_of(tmp_path, *words, *more), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: written(tmp_path) >= 2)
        os.kill(processes_of(started, WRITER)[1].pid, signal.SIGKILL)
        _, errors = started.communicate(timeout=300)
    finally:
        started.kill()
    assert started.returncode == 1 and "was ended by SIGKILL" in errors
    wait_for(lambda: left_running(tmp_path) == [])
    again = run_convert(*words, *more)
    assert (again.returncode, again.stderr) == (0, "")
    assert "of 1,534 images are there from an earlier try" in again.stdout
    whole = run_convert(*words, *more, f"data.cache_dir={tmp_path / 'another'}")
    assert whole.returncode == 0
    ours, theirs = (stored_in(tmp_path / folder) for folder in ("cache", "another"))
    assert ours == theirs


def written(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.rglob("train*.partial.journal")) - 1


def stored_in(folder: Path) -> object:
    files = sorted(folder.rglob("train.ffcv"))
    if files:
        return samples_of(files[0])
    return {path.name: path.read_bytes() for path in folder.rglob("*.mds") if "train" in path.parts}


def test_every_size_is_kept(photo_tree: PhotoTree, tmp_path: Path) -> None:
    photos = photo_tree()
    picture(900, 700).save(photos / "train" / "china" / "wide.jpg", quality=95)
    said: list[str] = []
    shards = MDSShards(**shard_settings(tmp_path, write_mode="source", max_resolution=100))
    shards.prepare(str(photos), ConversionOptions(1, said.append))
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*.mds"))
    wide = encode(str(photos / "train" / "china" / "wide.jpg"), "wide.jpg", SOURCE)
    assert wide.width == 900 and wide.content.tobytes() in content
