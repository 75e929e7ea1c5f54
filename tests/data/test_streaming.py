"""MDS shards: what mosaicml-streaming reads and writes, from a disk and from an object store that runs here."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.files import read_json, read_lines
from resnet_exp.data import block_shuffle, streaming
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.images import image_tree
from resnet_exp.data.streaming import conversion, mds
from resnet_exp.data.streaming.files import MDSShards
from support.conversions import damage, many_photos, processes_of, wait_for
from support.loaders import epoch_of, open_loader, same, shard_settings, split_of
from support.paths import TESTS
from support.photos import PhotoTree
from support.shards import line_of, open_shards, prepare, run
from support.warm import WarmPython

pytestmark = pytest.mark.usefixtures("compiled")

WRITER = "resnet_exp.data.writer"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def pictures_of(batches: Any) -> Counter[tuple[bytes, int]]:
    pairs = (pair for images, labels in batches for pair in zip(images, labels, strict=True))
    return Counter((image.numpy().tobytes(), int(label)) for image, label in pairs)


def test_it_evaluates_the_images_of_an_ffcv_file(tmp_path: Path, photo_tree: PhotoTree) -> None:
    photos = photo_tree()
    prepare(photos, tmp_path / "cache")
    shards = open_shards(photos, tmp_path / "cache", train=False)
    assert shards.images == 8
    assert pictures_of(shards) == pictures_of(open_loader("jpg", photos, train=False))


THE_LIBRARY = """
import json, sys
from support.mosaic import without_transformers
without_transformers()
from streaming import LocalDataset, MDSWriter
from PIL import Image
ours, theirs = sys.argv[1:]
found = LocalDataset(ours)
print(json.dumps([[sample["x"].size, sample["x"].mode, int(sample["y"])] for sample in found]))
columns = {"label": "int32", "name": "str", "photo": "jpeg"}
for split in ("train", "val"):
    with MDSWriter(out=f"{theirs}/{split}", columns=columns, hashes=["sha1", "xxh64"], size_limit=4000) as writer:
        for number in range(len(found)):
            sample = found[number]
            writer.write({"label": sample["y"], "name": "x" * number, "photo": sample["x"]})
"""


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], Path, Path]:
    """What mosaicml-streaming reads of our shards, shards that it writes of the same images, and the photographs."""
    from support.photos import write_photos

    folder = tmp_path_factory.mktemp("theirs")
    photos = write_photos(folder / "photos")
    ours, _ = prepare(photos, folder / "cache")
    # The library leaves files in the folder for temporary ones.
    own = {"PYTHONPATH": str(TESTS), "TMPDIR": str(folder)}
    words = [sys.executable, "-c", THE_LIBRARY, str(ours), str(folder / "shards")]
    done = subprocess.run(words, cwd=folder, env={**os.environ, **own}, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), folder / "shards", photos


def test_the_library_reads_our_shards(theirs: tuple[list[Any], Path, Path]) -> None:
    read, _, _ = theirs
    assert Counter(label for *_, label in read) == {0: 16, 1: 16}
    assert {(tuple(size), mode) for size, mode, _ in read} == {((64, 56), "RGB")}
    labels = [label for *_, label in read]
    assert labels != sorted(labels), "images of a class lie side by side"


def test_we_read_shards_of_the_library(theirs: tuple[list[Any], Path, Path], tmp_path: Path) -> None:
    _, shards, photos = theirs
    assert len(list((shards / "train").glob("*.mds"))) > 3
    columns = {"remote": str(shards), "image_column": "photo", "label_column": "label"}
    said: list[str] = []
    MDSShards(**shard_settings(tmp_path, **columns)).prepare("", ConversionOptions(1, said.append, classes=2))
    assert [line.partition(" has ")[2] for line in said] == ["no manifest, so its classes are not known"] * 2
    found = open_shards(photos, tmp_path, columns, train=False)
    assert found.images == 32
    sizes = {images.shape for images, _ in found}
    assert sizes == {torch.Size([4, 3, 32, 32])}
    assert Counter(label for _, labels in found for label in labels.tolist()) == {0: 16, 1: 16}


def test_damage_of_a_shard_of_the_library_is_found(theirs: tuple[list[Any], Path, Path], tmp_path: Path) -> None:
    shards = shutil.copytree(theirs[1], tmp_path / "copy")
    for shard in (shards / "train").glob("*.mds"):
        damage(shard, 600)
    columns = {"remote": str(shards), "image_column": "photo", "label_column": "label"}
    with pytest.raises(RequestError, match=r"shard\.\d+\.mds is damaged: its bytes are not what was written; name an"):
        MDSShards(**shard_settings(tmp_path, **columns)).prepare("", ConversionOptions(1, print))


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.integers(1, 4), st.integers(1, 60), st.integers(0, 99), st.integers(0, 9),
)  # fmt: skip
@settings(max_examples=200)
def test_order_of_an_epoch(sizes: list[int], nodes: int, block: int, seed: int, epoch: int) -> None:
    starts = np.cumsum([0, *sizes])
    nodes = min(nodes, int(starts[-1]))
    parts = block_shuffle.of_epoch(starts, nodes, block, seed, epoch)
    found = np.concatenate(parts)
    assert len(set(found.tolist())) == len(found) > starts[-1] - nodes, "every sample at most once, and nearly all"
    for part, later in zip(parts, block_shuffle.of_epoch(starts, nodes, block, seed, epoch + 1), strict=True):
        assert len(part) == len(parts[0])
        # One more or fewer of those that do not fill a batch of all nodes may take another one's place.
        assert len(set(part.tolist()) - set(later.tolist())) <= nodes, "a node has the same shards in every epoch"


@pytest.mark.parametrize("nodes", [1, 2, 4])
def test_batches_of_all_ranks_are_the_same_for_any_number_of_them(nodes: int) -> None:
    starts = np.cumsum([0, *[50] * 20])
    parts = block_shuffle.of_epoch(starts, nodes, 100, seed=3, epoch=1)
    whole = block_shuffle.share(parts, 0, 1, 16).reshape(-1, 16)
    assert len(whole) == 1000 // 16
    for ranks in (2, 4):
        shares = [block_shuffle.share(parts, rank, ranks, 16 // ranks).reshape(len(whole), -1) for rank in range(ranks)]
        assert np.array_equal(np.concatenate(shares, axis=1), whole)
    needed = [set((block_shuffle.share(parts, rank, nodes, 16 // nodes) // 50).tolist()) for rank in range(nodes)]
    assert sum(map(len, needed)) <= 20 + nodes, "a node needs the shards of its part only"


def test_only_some_shards_are_needed_at_a_time() -> None:
    starts = np.cumsum([0, *[50] * 200])
    (order,) = block_shuffle.of_epoch(starts, 1, 500, seed=0, epoch=0)
    for begin in range(0, len(order) - 200, 200):
        assert len(set((order[begin : begin + 200] // 50).tolist())) <= 26
    neighbors = np.diff(order) == 1
    assert neighbors.mean() < 0.02, "mixed"


def test_a_batch_that_canonical_nodes_do_not_divide_is_refused(tmp_path: Path, photo_tree: PhotoTree) -> None:
    photos = photo_tree()
    prepare(photos, tmp_path)
    with pytest.raises(RequestError, match="canonical_nodes=3 does not divide a batch of 4; use a number that does"):
        open_shards(photos, tmp_path, {"canonical_nodes": 3})


# The writer, and a worker of the writer.
@pytest.mark.parametrize("victim", [0, pytest.param(1, marks=pytest.mark.soak)])
def test_a_conversion_that_is_killed_goes_on(
    victim: int, tmp_path: Path, photo_tree: PhotoTree, warm_python: WarmPython
) -> None:
    photos = photo_tree()
    many_photos(photos, 500)
    quick = ("data.loader.max_resolution=200", "data.loader.images_per_shard=10")
    started = subprocess.Popen(
        line_of(tmp_path, *quick), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

    def journaled() -> int:
        return sum(path.read_bytes().count(b"\n") - 1 for path in tmp_path.rglob("train.partial.journal"))

    try:
        wait_for(lambda: journaled() >= 3)
        others = processes_of(started, WRITER)
        os.kill(others[victim].pid, signal.SIGKILL)
        _, errors = started.communicate(timeout=300)
    finally:
        started.kill()
    if victim == 1:
        assert errors.count("\n") == 1 and "a process of the writer was ended by SIGKILL (out of memory?)" in errors
    assert list(tmp_path.rglob("train/index.json")) == []
    again = run(warm_python, tmp_path, *quick)
    assert (again.returncode, again.stderr) == (0, "")
    assert "of 534 images are there from an earlier try" in again.stdout
    (train,) = tmp_path.rglob("train/index.json")
    whole, _ = prepare(photos, tmp_path / "another", max_resolution=200, images_per_shard=10)
    assert read_json(train) == read_json(whole / mds.INDEX), "sizes and hashes of all shards"
    assert sorted(path.name for path in train.parents[2].rglob("*") if "partial" in path.name) == []


def test_shards_of_an_interrupted_conversion_are_checked(tmp_path: Path, photo_tree: PhotoTree) -> None:
    train = photo_tree() / "train"
    names = [source.name for source in image_tree.files(train)]
    # In the last shard, so that all others but one worker's are there whichever worker is slow.
    broken = train / names[np.random.default_rng(conversion.MIXING_SEED).permutation(len(names))[-1]]
    good = broken.read_bytes()
    broken.write_bytes(b"")
    with pytest.raises(RunFailed, match=broken.name):
        prepare(train.parent, tmp_path / "cache", images_per_shard=2)
    (journal,) = tmp_path.rglob("train.partial.journal")
    head, *noted = read_lines(journal)
    assert head["images"] == len(names) and len(noted) > 2
    damage(journal.with_suffix("") / noted[0]["entry"]["raw_data"]["basename"], 500)
    broken.write_bytes(good)
    again, _ = prepare(train.parent, tmp_path / "cache", images_per_shard=2)
    whole, _ = prepare(train.parent, tmp_path / "another", images_per_shard=2)
    assert contents(again) == contents(whole)


def test_images_that_cannot_be_converted_are_named_or_listed(
    tmp_path: Path, photo_tree: PhotoTree, warm_python: WarmPython
) -> None:
    broken = photo_tree() / "train" / "china" / "01.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    done = run(warm_python, tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"conversion of {tmp_path}/photos failed: image {broken} cannot be read (" in done.stderr
    skipped = run(warm_python, tmp_path, "on_error=skip")
    assert (skipped.returncode, skipped.stderr) == (0, "")
    (train,) = tmp_path.rglob("train.json")
    content = json.loads(train.read_text())
    assert (content["images"], [name for name, _ in content["skipped"]]) == (31, ["china/01.jpg"])
    loader = open_shards(tmp_path / "photos", tmp_path / "cache", {"images_per_shard": 512})
    assert loader.images == 31


def _edit_index(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def edit(train: Path) -> None:
        content = json.loads((train / mds.INDEX).read_text())
        change(content)
        (train / mds.INDEX).write_text(json.dumps(content))

    return edit


# What is done to the folder train, and what is said of it when a run starts.
DAMAGED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a shard is gone": (lambda train: (train / "shard.00001.mds").unlink(), "shard.00001.mds cannot be read (No such"),
    "a shard is cut off": (
        lambda train: os.truncate(train / "shard.00001.mds", 99),
        "mds has 99 bytes, its index says",
    ),
    "the index is gone": (lambda train: (train / mds.INDEX).unlink(), "index.json cannot be used: it does not exist"),
    "the index is cut off": (
        lambda train: os.truncate(train / mds.INDEX, 99),
        "index.json is not an index of MDS shards",
    ),
    "the index is edited": (_edit_index(lambda index: index["shards"].pop()), "index.json is not what was written"),
    "the index is empty": (_edit_index(lambda index: index["shards"].clear()), "cannot be used: it names no shards"),
    "it leads elsewhere": (
        _edit_index(lambda index: index["shards"][0]["raw_data"].update(basename="../../x")),
        "cannot be used: shard ../../x is outside the folder",
    ),
    "it is compressed": (
        _edit_index(lambda index: index["shards"][0].update(compression="zstd")),
        "cannot be used: compression=zstd cannot be read; write the shards without",
    ),
    "the manifest is cut off": (lambda train: os.truncate(f"{train}.json", 99), "train.json is damaged"),
    "the manifest is edited": (
        lambda train: manifests.path_of(train).write_text(
            manifests.path_of(train).read_text().replace("china", "chin")
        ),
        "train.json is damaged (it is not what was sealed)",
    ),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_shards_that_are_not_what_was_written_are_refused(what: str, tmp_path: Path, photo_tree: PhotoTree) -> None:
    change, line = DAMAGED[what]
    photos = photo_tree()
    train, _ = prepare(photos, tmp_path)
    change(train)
    with pytest.raises(RequestError) as refused:
        prepare(photos, tmp_path)
    assert line in str(refused.value) and str(train) in str(refused.value) and "\n" not in str(refused.value)


def test_columns_that_are_not_there_are_refused(tmp_path: Path, photo_tree: PhotoTree) -> None:
    photos = photo_tree()
    prepare(photos, tmp_path)
    with pytest.raises(RequestError, match=r"data\.loader\.image_column=z is not in it; it has x, y"):
        prepare(photos, tmp_path, image_column="z")
    with pytest.raises(RequestError, match=r"data\.loader\.label_column=x holds jpeg; what can be read is int, "):
        prepare(photos, tmp_path, label_column="x")


def test_verify_finds_a_flipped_bit(tmp_path: Path, photo_tree: PhotoTree, warm_python: WarmPython) -> None:
    photo_tree()
    few = "data.loader.images_per_shard=2"
    assert run(warm_python, tmp_path, few).returncode == 0
    well = run(warm_python, tmp_path, few, "verify=true")
    assert (well.returncode, well.stderr) == (0, "") and "train: whole, 32 images of 2 classes" in well.stdout
    (train,) = (path.parent for path in tmp_path.rglob("train/index.json"))
    damage(train / "shard.00009.mds", 700)
    done = run(warm_python, tmp_path, few, "verify=true")
    assert (done.returncode, done.stderr) == (
        1,
        f"MDS shard {train}/shard.00009.mds is damaged: its bytes are not what was written; "
        "remove it to write it again\n",
    )


def test_a_jpeg_that_cannot_be_decoded_ends_the_run(tmp_path: Path, photo_tree: PhotoTree) -> None:
    photos = photo_tree()
    train, _ = prepare(photos, tmp_path / "cache")
    for shard in train.glob("*.mds"):
        content = bytearray(shard.read_bytes())
        at = content.find(b"\xff\xda")  # the scan of the first image
        content[at : at + 40] = bytes(40)
        shard.write_bytes(content)
    with pytest.raises(RunFailed, match=r"shard\.\d+\.mds: image 0 is damaged; remove it, then convert or fetch it"):
        epoch_of(open_shards(photos, tmp_path / "cache"), 0)


@pytest.mark.parametrize("size", [0xFFFF_FFFF, 0x7000_0000, 1_000_000])
def test_sizes_that_lead_out_of_a_sample_end_the_run(size: int, tmp_path: Path, photo_tree: PhotoTree) -> None:
    photos = photo_tree()
    prepare(photos, tmp_path / "cache", images_per_shard=8)
    loader = open_shards(photos, tmp_path / "cache", {"images_per_shard": 8})
    for shard in tmp_path.rglob("train/*.mds"):
        content = bytearray(shard.read_bytes())
        (at,) = struct.unpack_from("<I", content, 4)
        struct.pack_into("<I", content, at, size)
        shard.write_bytes(content)
    with pytest.raises(RunFailed, match=r"shard\.\d+\.mds: image 0 is damaged; remove it, then convert or fetch it"):
        epoch_of(loader, 0)


def test_classes_that_the_run_does_not_have_end_it(tmp_path: Path, photo_tree: PhotoTree) -> None:
    photos = photo_tree()
    prepare(photos, tmp_path / "cache")
    with pytest.raises(RunFailed, match=r"image \d+ is of class 1; dataset\.num_classes=1 has 0 to 0, set it to what"):
        epoch_of(open_shards(photos, tmp_path / "cache", classes=1), 0)


def test_shards_in_a_folder_are_read_in_place(tmp_path: Path, photo_tree: PhotoTree, warm_python: WarmPython) -> None:
    photos, shared = photo_tree(), tmp_path / "shared"
    done = run(warm_python, tmp_path, f"data.loader.remote={shared}", "data.loader.images_per_shard=7")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"data.loader.remote={shared}"
    shutil.rmtree(tmp_path / "cache")
    there = shard_settings(tmp_path / "cache", remote=str(shared))
    assert MDSShards(**there).prepare("", ConversionOptions(1, lambda _: None, classes=2)) == [
        shared / "train",
        shared / "val",
    ]
    found = epoch_of(streaming.make_loader(split_of(photos), **there), 0)
    near, _ = prepare(photos, tmp_path / "near")
    assert same(found, epoch_of(open_shards(photos, tmp_path / "near"), 0))
    assert not (tmp_path / "cache").exists() and near.is_dir()
