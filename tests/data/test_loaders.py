"""What a loader gives is a pure function of (seed, epoch, sample), and its pixels are OpenCV's and torchvision's."""

from __future__ import annotations

import math
import mmap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import ks_2samp
from torchvision import transforms

from resnet_exp.core.errors import RunFailed
from resnet_exp.data import ffcv
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.ffcv import layout
from resnet_exp.data.ffcv.files import FFCVFiles
from resnet_exp.data.ffcv.pages import held_pages
from resnet_exp.data.kernels.batch import load, make_scratch, resized
from resnet_exp.data.kernels.crops import Crop, crop_of, logarithms, random_box, resized_center_crop
from resnet_exp.data.kernels.decoder.ready import sizes_of
from resnet_exp.data.kernels.jpeg import Window
from resnet_exp.data.kernels.rng import CROP, FLIP, epoch_key, seed_stream, uniform
from support.loaders import epoch_of, file_settings, open_loader, same, split_of
from support.photos import write_photos

if TYPE_CHECKING:
    from ffcv.reader import Reader

pytestmark = pytest.mark.usefixtures("compiled")

FORMATS = ("raw", "jpg", "proportion", "imagefolder", "compiled", "indexed", "streaming", "source", "parquet")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.mark.parametrize("kind", FORMATS)
def test_tensors_depend_on_seed_and_epoch_only(kind: str, photos: Path) -> None:
    whole = epoch_of(open_loader(kind, photos), epoch=3)
    assert len(whole) == 8
    helped = open_loader(kind, photos, num_workers=2)
    assert same(epoch_of(helped, epoch=3), whole)
    assert same(epoch_of(helped, epoch=3), whole), "the same loader, asked again"
    assert same(epoch_of(open_loader(kind, photos), epoch=3, batch=5), whole[5:]), "a restart within the epoch"
    assert not same(epoch_of(helped, epoch=4), whole)
    assert not same(epoch_of(open_loader(kind, photos, seed=6), epoch=3), whole)


@pytest.mark.parametrize("kind", FORMATS)
def test_ranks_make_the_images_of_one(kind: str, photos: Path) -> None:
    whole = epoch_of(open_loader(kind, photos), epoch=2)
    shares = [epoch_of(open_loader(kind, photos, rank=rank, world_size=2, batch_size=2), 2) for rank in (0, 1)]
    assert [len(share) for share in shares] == [len(whole)] * 2
    for number, (images, _) in enumerate(whole):
        found = torch.cat([share[number][0] for share in shares])
        assert sorted(image.numpy().tobytes() for image in found) == sorted(image.numpy().tobytes() for image in images)


def growing(epoch: int, batch: int, batches: int) -> int:
    """Sides of a schedule in batches: 16 px in the first half of epoch 3, 24 px in the second, 32 px afterward."""
    return min(32, 16 + 8 * (2 * ((epoch - 3) * batches + batch) // batches))


@pytest.mark.parametrize("kind", FORMATS)
def test_sizes_on_schedule(kind: str, photos: Path) -> None:
    loader = open_loader(kind, photos, side_at=growing)
    whole = epoch_of(loader, epoch=3)
    assert [tuple(images.shape) for images, _ in whole] == [(4, 3, 16, 16)] * 4 + [(4, 3, 24, 24)] * 4
    if hasattr(loader, "sampler"):
        loader.sampler.set_epoch(4)  # as Composer does
    assert [images.shape[-1] for images, _ in loader] == [32] * 8
    helped = open_loader(kind, photos, side_at=growing, num_workers=2)
    assert same(epoch_of(helped, epoch=3, batch=3), whole[3:])


@pytest.mark.parametrize("kind", ["raw", "jpg"])
def test_small_images_are_the_large_ones_shrunk(kind: str, photos: Path) -> None:
    large = epoch_of(open_loader(kind, photos), epoch=1)
    small = epoch_of(open_loader(kind, photos, side_at=lambda epoch, batch, batches: 8), epoch=1)
    difference = [
        (torch.nn.functional.interpolate(whole.float(), size=8, mode="area") - part).abs().mean()
        for (whole, _), (part, _) in zip(large, small, strict=True)
    ]
    # Crops are not larger than 32 px in every image: what is enlarged first and shrunk then is a little off.
    assert max(difference) < 8, "the same crops and flips at another size"


def test_randaugment_changes_neither_crops_nor_the_rest(photos: Path) -> None:
    plain = epoch_of(open_loader("raw", photos), epoch=1)
    loader = open_loader("raw", photos, num_workers=2)
    loader.randaugment("all", 10, 0)
    assert same(epoch_of(loader, epoch=1), plain)
    loader.randaugment("all", 10, 1)
    augmented = epoch_of(loader, epoch=1)
    alone = open_loader("raw", photos)
    alone.randaugment("all", 10, 1)
    assert same(epoch_of(alone, epoch=1, batch=2), augmented[2:])
    changed = [
        not torch.equal(x, y)
        for (a, _), (b, _) in zip(plain, augmented, strict=True)
        for x, y in zip(a, b, strict=True)
    ]
    assert 20 < sum(changed) <= 32


@pytest.mark.parametrize("train", [True, False], ids=["train", "val"])
def test_memory_of_the_process_holds_what_the_file_does(train: bool, photos: Path) -> None:
    mapped, held = (open_loader("proportion", photos, os_cache=cache, train=train) for cache in (True, False))
    assert same(epoch_of(mapped, 1), epoch_of(held, 1))


def test_one_build_of_the_compiled_code_serves_all(photos: Path) -> None:
    for kind, cache in (
        ("proportion", True),
        ("proportion", False),
        ("raw", True),
        ("compiled", True),
        ("streaming", True),
    ):
        epoch_of(open_loader(kind, photos, os_cache=cache), 0)
    # With an index there is more to compile, which others do not need.
    builds = [str(build) for build in load.signatures]  # pyright: ignore[reportFunctionMemberAccess]
    assert len([build for build in builds if "Tools(" not in build]) == 1
    assert len(builds) <= 2


def test_evaluation_is_the_center_crop(photos: Path) -> None:
    ((images, _),) = epoch_of(open_loader("raw", photos, train=False, batch_size=8), 0)
    paths = sorted((photos / "val").rglob("*.jpg"))
    for image, path in zip(images, paths, strict=True):
        pixels = np.array(Image.open(path).convert("RGB"))
        height, width = pixels.shape[:2]
        side = int(32 / 40 * min(height, width))
        top, left = (height - side) // 2, (width - side) // 2
        square = pixels[top : top + side, left : left + side]
        expected = cv2.resize(square, (32, 32), interpolation=cv2.INTER_AREA)
        assert np.abs(image.permute(1, 2, 0).numpy().astype(int) - expected).max() <= 1


def resize_ours(
    pixels: np.ndarray[Any, Any], box: tuple[int, int, int, int], size: int, flip: bool, bilinear: bool = False
) -> Any:
    return image_of(pixels, crop_of(box), size, flip, bilinear)


def image_of(pixels: np.ndarray[Any, Any], crop: Crop, size: int, flip: bool, bilinear: bool) -> Any:
    height, width = pixels.shape[:2]
    scratch, out = make_scratch(sizes_of(height, width), size), np.empty((size, size, 3), np.uint8)
    top, left, high, wide = map(float, crop.box)
    resized(
        pixels.reshape(-1), Window(0, 0, height, width), (height, width), crop.exact, (top, left, high, wide),
        bilinear, flip, out,
        scratch.row, scratch.numbers, scratch.weights,
    )  # fmt: skip
    return out


SIDES = st.integers(1, 500)


@settings(max_examples=300)
@given(SIDES, SIDES, st.integers(1, 224), st.booleans(), st.integers(0, 2**32))
def test_resizing_is_that_of_opencv(height: int, width: int, size: int, flip: bool, seed: int) -> None:
    from ffcv import libffcv  # FFCV compiles for seconds when it is imported

    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    high, wide = int(random.integers(1, height + 1)), int(random.integers(1, width + 1))
    top, left = int(random.integers(0, height - high + 1)), int(random.integers(0, width - wide + 1))
    expected = np.empty((size, size, 3), np.uint8)
    libffcv.resize_crop(pixels, top, top + high, left, left + wide, expected)
    ours = resize_ours(pixels, (top, left, high, wide), size, flip)
    difference = ours.astype(int) - (expected[:, ::-1] if flip else expected)
    assert np.abs(difference).max() <= 1


@settings(max_examples=300)
@given(SIDES, SIDES, st.integers(1, 224), st.booleans(), st.integers(0, 2**32))
def test_bilinear_resizing_is_that_of_pillow(height: int, width: int, size: int, flip: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    high, wide = int(random.integers(1, height + 1)), int(random.integers(1, width + 1))
    top, left = int(random.integers(0, height - high + 1)), int(random.integers(0, width - wide + 1))
    crop = Image.fromarray(pixels).crop((left, top, left + wide, top + high))
    expected = np.asarray(crop.resize((size, size), Image.Resampling.BILINEAR))
    ours = resize_ours(pixels, (top, left, high, wide), size, flip, bilinear=True)
    difference = ours.astype(int) - (expected[:, ::-1] if flip else expected)
    # Pillow rounds after each of two passes.
    assert np.abs(difference).max() <= 1


@settings(max_examples=300)
@given(SIDES, SIDES, st.integers(1, 224), st.integers(0, 64), st.integers(0, 2**32))
def test_a_center_crop_is_that_of_torchvision(height: int, width: int, size: int, more: int, seed: int) -> None:
    assume(max(height, width) < 20 * min(height, width))  # else Pillow makes images of thousands of pixels
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    steps = transforms.Compose([transforms.Resize(size + more), transforms.CenterCrop(size)])
    expected = np.asarray(steps(Image.fromarray(pixels))).astype(int)
    ours = image_of(pixels, resized_center_crop(height, width, size + more, size), size, False, bilinear=True)
    assert np.abs(ours - expected).max() <= 1


def test_crops_are_distributed_as_torchvisions() -> None:
    height, width, scale, ratio, count = 375, 500, (0.08, 1.0), (3 / 4, 4 / 3), 4000
    stream, key = np.zeros(1, np.uint64), epoch_key(17, 0)
    ours = []
    for sample in range(count):
        seed_stream(stream, key, np.uint64(sample), CROP)
        ours.append(random_box(stream, height, width, scale, logarithms(ratio)))
    torch.manual_seed(1)
    image = torch.empty(3, height, width)
    params = transforms.RandomResizedCrop.get_params
    theirs = [params(image, list(scale), list(ratio)) for _ in range(count)]
    for name, value in {
        "area": lambda box: box[2] * box[3],
        "ratio": lambda box: box[3] / box[2],
        "top": lambda box: box[0],
        "left": lambda box: box[1],
        "vertical center": lambda box: box[0] + box[2] / 2,
        "horizontal center": lambda box: box[1] + box[3] / 2,
    }.items():
        p = ks_2samp([value(box) for box in ours], [value(box) for box in theirs]).pvalue  # pyright: ignore
        assert p > 0.01, f"{name}: p={p}"


@pytest.mark.parametrize(("height", "width"), [(10, 1000), (1000, 10), (1, 1), (1, 7)])
def test_images_that_no_crop_fits_get_the_widest(height: int, width: int) -> None:
    stream = np.zeros(1, np.uint64)
    seed_stream(stream, epoch_key(0, 0), np.uint64(3), CROP)
    box = random_box(stream, height, width, (0.9, 1.0), logarithms((3 / 4, 4 / 3)))
    image = torch.empty(3, height, width)
    assert box == transforms.RandomResizedCrop.get_params(image, [0.9, 1.0], [3 / 4, 4 / 3])


def test_numbers_are_even_and_streams_apart() -> None:
    stream = np.zeros(1, np.uint64)

    def draws(epoch: int, purpose: np.uint64) -> list[float]:
        found = []
        for sample in range(3000):
            seed_stream(stream, epoch_key(17, epoch), np.uint64(sample), purpose)
            found.append(uniform(stream, 0.0, 1.0))
        return found

    streams = [draws(0, CROP), draws(0, FLIP), draws(1, CROP)]
    for one in streams:
        assert ks_2samp(one, np.linspace(0, 1, 100_000)).pvalue > 0.01  # pyright: ignore
    correlation = np.corrcoef(streams) - np.eye(3)
    assert np.abs(correlation).max() < 4 / math.sqrt(3000)


def changed_file(photos: Path, mode: str, change: Callable[[bytearray, Any], None]) -> dict[str, Any]:
    """Settings that name a changed copy of the training file; `change` takes its bytes and what FFCV reads of it."""
    FFCVFiles(**file_settings(photos, mode)).prepare(str(photos), ConversionOptions(1, lambda _: None))
    path = FFCVFiles(**file_settings(photos, mode)).place_of(str(photos), "train")
    content = bytearray(path.read_bytes())
    from ffcv.reader import Reader

    change(content, Reader(str(path)))
    copy = path.with_name("changed.ffcv")
    copy.write_bytes(content)
    return {**file_settings(photos, mode), "train_file": str(copy)}


@pytest.mark.parametrize("cache", [True, False], ids=["mapped", "held"])
def test_a_damaged_image_ends_the_epoch_with_its_number(cache: bool, photos: Path) -> None:
    def change(content: bytearray, reader: Reader) -> None:
        start = int(reader.metadata["f0"]["data_ptr"][7])
        content[start : start + 40] = bytes(40)

    files = changed_file(photos, "jpg", change)
    with pytest.raises(RunFailed, match=r"changed\.ffcv: image 7 is damaged"):
        epoch_of(ffcv.make_loader(split_of(photos), os_cache=cache, **files), 0)


def _edit_row(field: str, value: int) -> Callable[[bytearray, Any], None]:
    """Change what the file says of its image 3."""

    def change(content: bytearray, reader: Reader) -> None:
        rows = reader.metadata.copy()
        rows["f0"][field][3] = value
        start = layout.rows_at()
        content[start : start + rows.nbytes] = rows.tobytes()

    return change


def _edit_place(field: str, value: int) -> Callable[[bytearray, Any], None]:
    """Change what the table at the file's end says in its row 3."""

    def change(content: bytearray, reader: Reader) -> None:
        table = reader.alloc_table.copy()
        table[field][3] = value
        content[-table.nbytes :] = table.tobytes()

    return change


def _version(content: bytearray, reader: Reader) -> None:
    content[0] = 7


# What is done to a file of pixels, and what is said of it.
WRONG: dict[str, tuple[Callable[[bytearray, Any], None], str]] = {
    "another format": (_version, "it is not an FFCV file of format 2"),
    "cut off": (lambda content, _: content.__delitem__(slice(-100, None)), "bytes, its header says"),
    "empty": (lambda content, _: content.clear(), "it ends after 0 bytes"),
    "an image behind the end": (_edit_row("data_ptr", 2**40), "what it says of image 3 cannot be"),
    "an image in the header": (_edit_row("data_ptr", 8), "what it says of image 3 cannot be"),
    "an image in two pages": (_edit_row("data_ptr", 2**24 - 5), "what it says of image 3 cannot be"),
    "an image that is larger than its bytes": (_edit_row("height", 9000), "what it says of image 3 cannot be"),
    "an image without pixels": (_edit_row("width", 0), "what it says of image 3 cannot be"),
    "an image of no bytes": (_edit_place("size", 0), "what it says of image 3 cannot be"),
    "an image of too many bytes": (_edit_place("size", 2**62), "what it says of image 3 cannot be"),
    "an image too many": (_edit_place("sample_id", 99), "index 99 is out of bounds"),
    "an image twice": (_edit_place("sample_id", 4), "what it says of image 3 cannot be"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_file_that_is_not_what_it_should_be_is_not_opened(what: str, photos: Path) -> None:
    change, said = WRONG[what]
    files = changed_file(photos, "raw", change)
    with pytest.raises(RunFailed) as failed:
        ffcv.make_loader(split_of(photos), os_cache=True, **files)
    assert str(failed.value).startswith(f"FFCV file {files['train_file']} cannot be opened (")
    assert said in str(failed.value) and str(failed.value).endswith("; remove it to write it again")


@pytest.mark.parametrize("cache", [True, False], ids=["mapped", "held"])
def test_images_may_be_noted_in_any_order(cache: bool, photos: Path) -> None:
    def change(content: bytearray, reader: Reader) -> None:
        table = np.random.default_rng(0).permutation(reader.alloc_table)
        content[-table.nbytes :] = table.tobytes()

    files = changed_file(photos, "proportion", change)
    found = epoch_of(ffcv.make_loader(split_of(photos), os_cache=cache, **files), 1)
    assert same(found, epoch_of(open_loader("proportion", photos), 1))


def test_pages_take_memory_while_batches_need_them(tmp_path: Path) -> None:
    page, pages = mmap.PAGESIZE, 5
    content = np.random.default_rng(0).integers(1, 256, pages * page + 7).astype(np.uint8)
    file = tmp_path / "file"
    content.tofile(file)
    needed = [np.array(numbers) for numbers in ([0, 2], [1], [2], [3], [4], [5], [0])]
    # Held at each batch while the one before may be in use. Memory that is not held reads as zeros.
    expected = [{0, 2}, {0, 1, 2}, {0, 1, 2}, {0, 2, 3}, {0, 3, 4}, {0, 4, 5}, {0, 5}]
    for number, data in enumerate(held_pages(file, page, needed, 2)):
        held = {start // page for start in range(0, len(content), page) if data[start : start + page].any()}
        assert held == expected[number]
        assert all(
            np.array_equal(data[at * page :][:page], content[at * page :][:page]) for at in needed[number].tolist()
        )


def test_a_file_that_cannot_be_read_into_memory_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(
        RunFailed, match=r"^FFCV file .*/gone cannot be read into memory \(No such file .*os_cache=true$"
    ):
        next(held_pages(tmp_path / "gone", mmap.PAGESIZE, [np.array([0])], 2))


@pytest.mark.parametrize("kind", ["raw", "streaming"])
def test_an_epoch_that_is_left_ends_its_threads(kind: str, photos: Path) -> None:
    loader = open_loader(kind, photos, os_cache=False, num_workers=2)
    before = threading.active_count()
    for epoch in range(4):
        loader.seek(epoch, 0)
        batches = iter(loader)
        next(batches)
        batches.close()
        assert threading.active_count() == before
