"""Conversion: the bytes of FFCV's own writer, for every kind of image, in a file that FFCV's own reader reads."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import warnings
from io import BytesIO
from mmap import mmap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.data.conversion import encode
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.encode import Settings
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.ffcv import files as ffcv_files
from resnet_exp.data.ffcv import layout
from resnet_exp.data.ffcv import manifest as ffcv_manifest
from resnet_exp.data.ffcv.files import FFCVFiles
from resnet_exp.data.ffcv.loader import make_loader
from resnet_exp.data.ffcv.page_worker import PageFile
from resnet_exp.data.images import image_file, image_tree
from support.commands import RunCli
from support.ffcv_files import SETTINGS, Sample, convert, samples_of
from support.loaders import epoch_of, file_settings, same, split_of
from support.mixed_tree import FORMATS, packaged_pictures, write_mixed_tree
from support.paths import ROOT, TESTS
from support.photos import PhotoTree
from support.terminal import Terminal

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixed_tree(tmp_path_factory.mktemp("mixed"))


def pixels_of(sample: Sample) -> Sample:
    """The same with its pixels for the stored bytes."""
    label, mode, width, height, stored = sample
    if mode == layout.JPEG:
        with Image.open(BytesIO(stored)) as image:
            assert (image.width, image.height, image.mode) == (width, height, "RGB")
            stored = image.tobytes()
    return label, mode, width, height, stored


def test_the_layout_is_that_of_the_library() -> None:
    from ffcv import types
    from ffcv.fields import IntField, RGBImageField

    handlers = [RGBImageField(), IntField()]
    rows = types.get_metadata_type(handlers)
    assert layout.ROW.size == rows.itemsize
    packed = np.frombuffer(layout.ROW.pack(1, 500, 375, 2**33, 999), rows)[0]
    assert packed.tolist() == ((1, 500, 375, 2**33), 999)
    assert layout.HEADER.size == types.HeaderType.itemsize
    assert layout.FIELD.size == types.FieldDescType.itemsize
    assert layout.PLACE.size == types.ALLOC_TABLE_TYPE.itemsize
    assert layout.VERSION == types.CURRENT_VERSION
    assert types.TYPE_ID_HANDLER[layout.IMAGE_TYPE] is RGBImageField
    assert types.TYPE_ID_HANDLER[layout.LABEL_TYPE] is IntField


# The mode and the largest side of files; 0 is no bound.
WRITTEN = [("raw", 80), ("jpg", 80), ("jpg", 0)]


@pytest.fixture(scope="module")
def originals(mixed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of files that FFCV's own writer has written."""
    folder = tmp_path_factory.mktemp("originals")
    names = [f"{mode}-{longest}" for mode, longest in WRITTEN]
    line = [sys.executable, str(TESTS / "support" / "ffcv_original.py"), str(mixed / "train"), str(folder), *names]
    subprocess.run(line, check=True, capture_output=True, timeout=300, cwd=ROOT)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "longest"), WRITTEN)
def test_the_pixels_are_those_of_ffcvs_own_writer(
    mode: str, longest: int, mixed: Path, originals: Path, tmp_path: Path
) -> None:
    ours, _ = convert(mixed, tmp_path, write_mode=mode, max_resolution=longest or None)
    theirs = originals / f"{mode}-{longest}.ffcv"
    assert len(samples_of(ours)) == 5 * len(FORMATS) + 1
    # Its JPEGs have no restart markers.
    assert [pixels_of(sample) for sample in samples_of(ours)] == [pixels_of(sample) for sample in samples_of(theirs)]
    loaders = [
        make_loader(split_of(mixed), os_cache=True, **{**file_settings(mixed, mode), "train_file": str(file)})
        for file in (ours, theirs)
    ]
    assert same(*(epoch_of(loader, 0) for loader in loaders)), "the loader makes the same of both"


@pytest.mark.parametrize("quality", [50, 75, 95, 100])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpegs_are_decoded_as_pillow_decodes_them(quality: int, subsampling: int, tmp_path: Path) -> None:
    for size in ((640, 427), (333, 77), (17, 9), (1, 1)):
        for progressive in (False, True):
            file = tmp_path / "image.jpg"
            picture = packaged_pictures()["china"].resize(size)
            picture.save(file, quality=quality, subsampling=subsampling, progressive=progressive)
            with Image.open(file) as image:
                expected = np.asarray(image.convert("RGB"))
            assert np.array_equal(image_file.decode(str(file)), expected)
            assert np.array_equal(image_file.decode(str(file), "BGR")[..., ::-1], expected)


@pytest.mark.parametrize("name", FORMATS)
def test_every_kind_of_image_follows_its_rule(name: str, mixed: Path) -> None:
    file = mixed / "train" / "grace_hopper" / name
    pixels = image_file.decode(str(file))
    with Image.open(file) as image:
        assert pixels.shape == (image.height, image.width, 3), "no EXIF rotation"
        if name.startswith("sixteen_bits"):
            expected = np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, axis=2)
            assert 0 < expected.mean() < 255
        elif name.startswith("palette"):
            expected = np.asarray(image.convert("RGBA"))[..., :3]
        else:
            expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(pixels, expected)


def test_a_file_does_not_depend_on_the_number_of_workers(mixed: Path, tmp_path: Path) -> None:
    alone, _ = convert(mixed, tmp_path / "1", workers=1)
    together, _ = convert(mixed, tmp_path / "3", workers=3)
    assert samples_of(alone) == samples_of(together)
    modes = [mode for _, mode, *_ in samples_of(alone)]
    assert {layout.RAW, layout.JPEG} == set(modes)
    labels = [label for label, *_ in samples_of(alone)]
    assert labels == [label for _, label in image_tree.samples(mixed / "train")]


def test_pages_are_written_through_the_cache_where_the_disk_refuses_the_other_way(tmp_path: Path) -> None:
    file = tmp_path / "pages"
    file.touch()
    page = mmap(-1, 3000)
    page[:] = bytes(range(250)) * 12
    with PageFile(str(file)) as pages:
        pages.write(page, 7)  # no multiple of any disk's blocks
    assert file.read_bytes() == bytes(7) + page[:]


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 1])
def test_the_share_of_jpegs_is_the_one_that_is_asked_for(share: float) -> None:
    wanted = Settings("proportion", 500, share, 90)
    chosen = sum(encode.as_jpeg(f"n01440764/n01440764_{number}.JPEG", wanted) for number in range(10_000))
    # Four standard deviations.
    assert abs(chosen - 10_000 * share) <= 4 * (10_000 * share * (1 - share)) ** 0.5


def test_the_manifest_says_what_is_in_the_file(mixed: Path, tmp_path: Path) -> None:
    train, val = convert(mixed, tmp_path)
    manifest = ffcv_manifest.read_manifest(train)
    assert manifest is not None
    assert manifest.classes == sorted(packaged_pictures()) == image_tree.class_names(mixed / "val")
    assert sum(manifest.class_images) == manifest.images == len(samples_of(train)) == 5 * len(FORMATS) + 1
    assert manifest.class_images[manifest.classes.index("china")] == len(FORMATS) + 1
    assert manifest.file_bytes == train.stat().st_size
    assert manifest.settings == {key: SETTINGS[key] for key in ffcv_files.KIND.content}
    assert sum(size for _, size, _ in manifest.blocks()) == manifest.file_bytes
    other = ffcv_manifest.read_manifest(val)
    assert other is not None and other.images == 20


def test_a_converted_dataset_verifies_and_a_run_takes_its_classes_from_it(
    run_cli: RunCli, photo_tree: PhotoTree, tmp_path: Path
) -> None:
    photos = photo_tree()
    where = ["dataset=imagefolder", f"dataset.dir={photos}", f"data.cache_dir={tmp_path / 'cache'}"]
    done = run_cli(*where, module="resnet_exp.convert")
    assert (done.returncode, done.stderr) == (0, "")
    assert "train.ffcv: about " in done.stdout and "train.ffcv: 32 images in " in done.stdout
    files = [line.split("  ")[0] for line in done.stdout.splitlines() if line.startswith("data.loader.")]
    verified = run_cli(*where, "verify=true", module="resnet_exp.convert")
    assert (verified.returncode, verified.stderr) == (0, "")
    assert verified.stdout.count(": whole, ") == 2 and "32 images of 2 classes" in verified.stdout
    planned = run_cli("dataset=imagefolder", "dataset.dir=null", "train_batch_size=8", *files, module="resnet_exp.plan")
    assert planned.returncode == 0, planned.stderr
    assert "2 classes" in planned.stdout


def test_a_file_without_a_manifest_is_used_with_a_note(photo_tree: PhotoTree, tmp_path: Path) -> None:
    train, val = convert(photo_tree(), tmp_path / "cache")
    named = {**SETTINGS, "cache_dir": "unused", "train_file": str(train), "val_file": str(val)}
    said: list[str] = []
    FFCVFiles(**named).prepare("", ConversionOptions(1, said.append, classes=2))
    assert said == []
    manifests.path_of(val).unlink()
    FFCVFiles(**named).prepare("", ConversionOptions(1, said.append, classes=2))
    assert said == [f"note: {val} has no manifest, so only its header and class numbers were checked"]
    with pytest.raises(RequestError, match=r"class numbers up to 1, dataset.num_classes=1 has none above 0"):
        ffcv_manifest.check_header(val, 1)


def test_images_that_cannot_be_converted_are_left_out_on_request(
    run_cli: RunCli, photo_tree: PhotoTree, tmp_path: Path
) -> None:
    photos = photo_tree()
    broken = photos / "train" / "china" / "01.jpg"
    broken.write_bytes(b"no image")
    (photos / "val" / "flower" / "05.jpg").write_bytes(b"")
    where = ["dataset=imagefolder", f"dataset.dir={photos}", f"data.cache_dir={tmp_path / 'cache'}"]
    done = run_cli(*where, "on_error=skip", module="resnet_exp.convert")
    assert (done.returncode, done.stderr) == (0, "")
    assert "train.ffcv: 1 image skipped; " in done.stdout
    (file,) = (tmp_path / "cache").rglob("train.ffcv")
    content = json.loads(manifests.path_of(file).read_text())
    why = f"image {broken} cannot be read (cannot identify image file); repair it or remove it from dataset.dir"
    assert content["skipped"] == [["china/01.jpg", why]]
    assert [label for label, *_ in samples_of(file)] == [0] * 15 + [1] * 16
    (photos / "train" / "china" / "02.jpg").write_bytes(b"")
    (photos / "train" / "china" / "03.jpg").write_bytes(b"")
    line = (*where, "data.loader.jpeg_quality=80", "on_error=skip", "max_skipped=2")
    refused = run_cli(*line, module="resnet_exp.convert")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "more than max_skipped=2 images cannot be converted; the last: image " in refused.stderr


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("on_error=maybe", "on_error=maybe is unknown; use stop or skip"),
        ("verify=1", "verify=1 is unknown; use false or true"),
        ("max_skipped=3", "max_skipped=3 is for on_error=skip; add that or leave it out"),
        ("data.loader.write_mode=5", "data.loader.write_mode=5 is unknown; use one of raw, jpg, proportion, source"),
        ("data=streaming data.loader.write_mode=raw", "data.loader.write_mode=raw is unknown; use one of jpg, source"),
        ("data.loader.jpeg_quality=0", "data.loader.jpeg_quality=0 is out of range; use 1 to 100"),
        ("data.loader.max_resolution=big", "data.loader.max_resolution=big is out of range; use 1 to 26000"),
        ("data.loader.compress_probability=2", "data.loader.compress_probability=2 is out of range; use 0 to 1"),
        ("data=imagefolder", "data=imagefolder is not converted; use data=ffcv or data=streaming"),
    ],
)
def test_a_wrong_request_is_refused_in_a_line(word, line, run_cli: RunCli, photo_tree: PhotoTree, tmp_path: Path):
    where = ["dataset=imagefolder", f"dataset.dir={photo_tree()}", f"data.cache_dir={tmp_path / 'cache'}"]
    done = run_cli(*where, *word.split(), module="resnet_exp.convert")
    assert (done.returncode, done.stderr, done.stdout) == (2, f"{line}\n", "")
    assert not (tmp_path / "cache").exists()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(FORMATS)), seed=st.integers(0, 2**32 - 1), changes=st.integers(1, 40))
def test_a_damaged_image_is_pixels_or_a_line(name: str, seed: int, changes: int, mixed: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    content = bytearray((mixed / "train" / "Minduka_Present_Blue_Pack" / name).read_bytes())
    for at in random.integers(0, min(len(content), 2000), changes):
        content[at] = random.integers(0, 256)
    file = tmp_path / name
    file.write_bytes(content[: len(content) if seed % 3 else len(content) * 2 // 3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in a worker
        try:
            pixels, said = image_file.decode(str(file)), ""
        except RunFailed as error:
            pixels, said = None, str(error)
    if pixels is None:
        assert said.startswith(f"image {file} cannot be read (") and "\n" not in said
    else:
        assert pixels.dtype == np.uint8 and pixels.shape[2:] == (3,)


@pytest.mark.slow
def test_a_terminal_shows_the_pace_and_the_time_that_is_left(photo_tree: PhotoTree, tmp_path: Path) -> None:
    photos = photo_tree()
    packaged_pictures()["china"].resize((1600, 1200)).save(photos / "train" / "china" / "large.jpg")
    # For two seconds and more, with all cores.
    more = 75 * len(os.sched_getaffinity(0))
    for number in range(more):
        os.link(photos / "train" / "china" / "large.jpg", photos / "train" / "china" / f"large{number}.jpg")
    where = ["dataset=imagefolder", f"dataset.dir={photos}", f"data.cache_dir={tmp_path / 'cache'}"]
    terminal = Terminal([sys.executable, "-m", "resnet_exp.convert", *where])
    terminal.read_until(None)
    assert terminal.exit_code() == 0, terminal.raw
    assert re.search(rf"train.ffcv: about [\d.,]+ MB for {more + 33:,} images", terminal.raw)
    assert re.search(rf"train.ffcv: [\d,]+ of {more + 33:,} images  [\d,]+ images/s  ETA [\d.]+ s", terminal.raw)
    assert all(len(line) <= 80 for line in terminal.lines() if str(tmp_path) not in line)


def test_pixels_do_not_depend_on_the_file_name_or_a_wrong_one(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    packaged_pictures()["logo2"].save(buffer, "PNG")
    (tmp_path / "right.png").write_bytes(buffer.getvalue())
    (tmp_path / "wrong.JPEG").write_bytes(buffer.getvalue())
    assert np.array_equal(
        image_file.decode(str(tmp_path / "right.png")), image_file.decode(str(tmp_path / "wrong.JPEG"))
    )
