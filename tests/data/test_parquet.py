"""Parquet files: the images of an image folder, whoever writes the labels, and what is refused."""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.parquet import index, names
from resnet_exp.data.parquet.files import ParquetFiles
from support.loaders import epoch_of, open_loader, same
from support.parquet_files import IMAGE, hub_metadata, open_parquet, settings, table_of, write_parquet, write_split
from support.photos import write_photos

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos") / "photos")


def prepare(folder: Path | str, cache: Path, classes: int | None = None, **changes: Any) -> list[str]:
    """Prepare a data set as a run does; returns what is said."""
    said: list[str] = []
    ParquetFiles(**settings(cache, **changes)).prepare(str(folder), ConversionOptions(1, said.append, classes=classes))
    return said


@pytest.mark.parametrize("labels", ["named", "numbers", "texts"])
@pytest.mark.parametrize("train", [True, False], ids=["train", "val"])
def test_images_are_those_of_the_image_folder(labels: str, train: bool, photos: Path, tmp_path: Path) -> None:
    folder = write_parquet(photos, tmp_path / "data", labels)
    assert prepare(folder, tmp_path, classes=2) == []
    ours, theirs = open_parquet(folder, tmp_path, train=train), open_loader("compiled", photos, train=train)
    assert same(epoch_of(ours, 3), epoch_of(theirs, 3))
    known = ParquetFiles(**settings(tmp_path)).known(str(folder))
    assert known is not None
    assert known.classes == (["0", "1"] if labels == "numbers" else ["china", "flower"])
    assert (known.images, known.side) == (32, 56)


def binary(table: Any) -> Any:
    images = pa.array([image["bytes"] for image in table["image"].to_pylist()], pa.large_binary())
    return table.set_column(0, "image", images)


def categories(table: Any) -> Any:
    texts = pa.array([["china", "flower"][number] for number in table["label"].to_pylist()])
    return table.set_column(1, "label", texts.dictionary_encode()).replace_schema_metadata(None)


def small_numbers(table: Any) -> Any:
    return table.set_column(1, "label", table["label"].cast(pa.uint8()))


@pytest.mark.parametrize("change", [binary, categories, small_numbers], ids=lambda change: change.__name__)
def test_columns_of_other_types(change: Callable[[Any], Any], photos: Path, tmp_path: Path) -> None:
    for split, name in (("train", "train"), ("val", "valid")):
        write_split(change(table_of(photos / split)), tmp_path / "data" / name, "0")
    prepare(tmp_path / "data", tmp_path, classes=2)
    ours, theirs = open_parquet(tmp_path / "data", tmp_path), open_loader("compiled", photos)
    assert same(epoch_of(ours, 1), epoch_of(theirs, 1))


def test_what_is_no_jpeg_is_decoded_by_pillow(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    tree = tmp_path / "tree"
    for split in ("train", "val"):
        for number, (kind, mode) in enumerate([("png", "RGB"), ("jpg", "CMYK"), ("png", "RGBA"), ("jpg", "L")]):
            folder = tree / split / "only"
            folder.mkdir(parents=True, exist_ok=True)
            pixels = Image.fromarray(random.integers(0, 256, (50, 60, 3), dtype=np.uint8))
            pixels.convert(mode).save(folder / f"{number}.{kind}")
    write_parquet(tree, tmp_path / "data", rows=2)
    ours = open_parquet(tmp_path / "data", tmp_path, classes=1)
    assert same(epoch_of(ours, 0), epoch_of(open_loader("compiled", tree, classes=1), 0))


def test_each_rank_reads_its_own_row_groups_once(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_parquet(photos, tmp_path / "data", rows=2)
    read: list[int] = []
    load = index.SplitIndex.load
    monkeypatch.setattr(index.SplitIndex, "load", lambda self, number: (read.append(number), load(self, number))[1])
    shares: list[Counter[int]] = []
    for rank in (0, 1):
        read.clear()
        own = {"shuffle_block": 8, "canonical_ranks": 4}
        epoch_of(open_parquet(folder, tmp_path, own, rank=rank, world_size=2, batch_size=4), 1)
        shares.append(Counter(read))
    assert [max(share.values()) for share in shares] == [1, 1]
    assert len(shares[0] & shares[1]) <= 1, "a row group on the boundary of two parts"
    assert len(shares[0] | shares[1]) == 16


def test_parts_are_as_many_as_divide_the_batch(photos: Path, tmp_path: Path) -> None:
    folder, own = write_parquet(photos, tmp_path / "data"), {"shuffle_block": 8, "canonical_ranks": 8}
    batches = epoch_of(open_parquet(folder, tmp_path, own, batch_size=6), 0)
    assert [len(labels) for _, labels in batches] == [6] * 5


def test_an_empty_row_group_and_a_file_without_rows_do_not_matter(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for split, name in (("train", "train"), ("val", "validation")):
        table = table_of(photos / split)
        write_split(table, folder, name, files=1)
        (folder / f"{name}-00000-of-00001.parquet").rename(folder / f"{name}-00000-of-00002.parquet")
        parquet.write_table(table.slice(0, 0), folder / f"{name}-00001-of-00002.parquet")
    assert prepare(folder, tmp_path, classes=2) == []
    assert same(epoch_of(open_parquet(folder, tmp_path), 0), epoch_of(open_loader("compiled", photos), 0))


def test_names_of_files(tmp_path: Path) -> None:
    listed = ["train-00000-of-00002.parquet", "training.parquet", "trainer.parquet", "test-00000-of-00001.parquet"]
    assert names.files_of(listed, "train") == ["train-00000-of-00002.parquet"]
    assert names.files_of(listed, "val") == ["test-00000-of-00001.parquet"]
    assert names.files_of([*listed, "Validation_0.parquet", "val.csv"], "val") == ["Validation_0.parquet"]
    assert names.files_of(["train/0.parquet", "train/1.parquet", "dev/0.parquet"], "val") == ["dev/0.parquet"]
    with pytest.raises(RequestError, match=r"1 of 2 files are missing, such as train-00001-of-00002\.parquet; fetch"):
        names.check_complete("data", listed[:1])
    with pytest.raises(RequestError, match=r"data holds files -of-00001 and -of-00002 of one split; remove those"):
        names.check_complete("data", ["train-00000-of-00002.parquet", "train-00000-of-00001.parquet"])
    # Both would be read, and each image seen twice.
    for one, other in (
        ("train-00000-of-00001-5a0b.parquet", "train-00000-of-00001-6c1d.parquet"),
        ("train-00000-of-00001.parquet", "train.parquet"),
    ):
        with pytest.raises(RequestError, match=re.escape(f"holds files {one} and {other} of one split; remove those")):
            names.check_complete("data", [one, other])


def test_sorted_rows_and_missing_classes_are_noted(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for split, name in (("train", "train"), ("val", "validation")):
        table = table_of(photos / split).replace_schema_metadata(hub_metadata(["china", "flower", "owl"]))
        write_split(table, folder, name)
    said = prepare(folder, tmp_path, classes=3, shuffle_block=10)
    assert said[0] == "note: 1 class without images to train on, such as owl"
    assert said[1].startswith("note: the rows of the Parquet files are sorted by class, so batches hold few classes; ")


def cut_off(folder: Path) -> None:
    path = folder / "train-00001-of-00002.parquet"
    os.truncate(path, path.stat().st_size - 5)


def rewritten(change: Callable[[Any], Any], name: str = "train-00001-of-00002") -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        path = folder / f"{name}.parquet"
        parquet.write_table(change(parquet.read_table(path)), path, row_group_size=3)

    return rewrite


def with_label(value: int | None) -> Callable[[Any], Any]:
    def change(table: Any) -> Any:
        labels = table["label"].to_pylist()
        return table.set_column(1, "label", pa.array([*labels[:7], value, *labels[8:]], pa.int64()))

    return change


def without_image(table: Any) -> Any:
    images = table["image"].to_pylist()
    images[4] = {"bytes": None, "path": "elsewhere.jpg"}
    return table.set_column(0, "image", pa.array(images, IMAGE))


def remove(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        path.unlink()


def in_hub_folder(folder: Path) -> None:
    (folder / "data").mkdir()
    for path in folder.glob("*.parquet"):
        path.rename(folder / "data" / path.name)


# What is done to the files, settings, and what is said of it before a run starts; DIR is the folder.
REFUSED: dict[str, tuple[Callable[[Path], Any], dict[str, Any], str]] = {
    "nothing": (lambda folder: remove(folder, "*"), {}, "dataset.dir=DIR holds no train-*.parquet; dataset.dir must"),
    "in data": (in_hub_folder, {}, "dataset.dir=DIR holds no Parquet files, DIR/data does; use dataset.dir=DIR/data"),
    "no val": (lambda folder: remove(folder, "val*"), {}, "dataset.dir=DIR holds no validation-*.parquet; dataset.dir"),
    "a file is missing": (
        lambda folder: remove(folder, "train-00001*"), {},
        "dataset.dir=DIR: 1 of 2 files are missing, such as train-00001-of-00002.parquet; fetch them",
    ),
    "cut off": (cut_off, {}, "Parquet file DIR/train-00001-of-00002.parquet cannot be read ("),
    "no Parquet": (
        lambda folder: (folder / "train-00000-of-00002.parquet").write_text("version https://git-lfs.github.com"), {},
        "Parquet file DIR/train-00000-of-00002.parquet cannot be read (",
    ),
    "no such column": (
        lambda folder: None, {"image_column": "img"},
        "DIR/train-00000-of-00002.parquet: data.loader.image_column=img is not in it; it has image, label",
    ),
    "a column of no use": (
        lambda folder: None, {"label_column": "image"},
        "DIR/train-00000-of-00002.parquet: data.loader.label_column=image holds struct<",
    ),
    "no images": (
        lambda folder: None, {"image_column": "label"},
        "data.loader.image_column=label holds int64; what can be read is binary, or a struct with bytes",
    ),
    "other types": (
        rewritten(binary), {},
        "DIR/train-00001-of-00002.parquet and DIR/train-00000-of-00002.parquet have columns of different types",
    ),
    "other classes": (
        rewritten(lambda table: table.replace_schema_metadata(hub_metadata(["a", "b"]))), {},
        "DIR/train-00001-of-00002.parquet and DIR/train-00000-of-00002.parquet have different classes",
    ),
    "other classes in val": (
        lambda folder: [
            rewritten(lambda table: table.replace_schema_metadata(hub_metadata(["china", "owl"])), path.stem)(folder)
            for path in folder.glob("val*")
        ],
        {},
        "dataset.dir=DIR: train and val have different classes: number 1 is flower and owl; write both with the same",
    ),
    "no label": (rewritten(with_label(None)), {}, "DIR/train-00001-of-00002.parquet: row 7 has no label"),
    "a test set": (
        rewritten(with_label(-1)), {},
        "DIR/train-00001-of-00002.parquet: row 7 is of class -1, there are classes 0 to 1; a split without labels",
    ),
    "a class too many": (rewritten(with_label(2)), {}, "row 7 is of class 2, there are classes 0 to 1"),
    "no image": (
        rewritten(without_image), {},
        "DIR/train-00001-of-00002.parquet, row group 1, row 1 has no image; write the files with the images' bytes",
    ),
    "number of classes": (
        lambda folder: None, {"classes": 10},
        "dataset.dir=DIR has 2 classes in train, dataset.num_classes=10; name other files or set dataset.num_classes=2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_files_of_no_use_are_refused_before_a_run(what: str, photos: Path, tmp_path: Path) -> None:
    change, own, line = REFUSED[what]
    folder = write_parquet(photos, tmp_path / "data")
    change(folder)
    with pytest.raises(RequestError) as refused:
        prepare(folder, tmp_path, **{"classes": 2, **own})
    said = str(refused.value)
    assert line.replace("DIR", str(folder)) in said and "\n" not in said


def test_names_of_val_that_train_does_not_have_are_refused(photos: Path, tmp_path: Path) -> None:
    folder = write_parquet(photos, tmp_path / "data", "texts")
    table = table_of(photos / "val", "texts")
    changed = table.set_column(1, "label", pa.array(["owl"] * len(table)))
    write_split(changed, folder, "validation")
    with pytest.raises(RequestError, match=r"validation-00000-of-00002\.parquet: class owl is not among"):
        prepare(folder, tmp_path)


def test_a_row_group_that_memory_cannot_hold_is_refused(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_parquet(photos, tmp_path / "data")
    monkeypatch.setattr("resnet_exp.data.parquet.columns.MOST_BYTES", 1000)
    with pytest.raises(RequestError, match=r"train-00000-of-00002\.parquet: row group 0 has .* of images, and"):
        prepare(folder, tmp_path)


def test_damage_that_a_run_comes_upon_is_named(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    table = table_of(photos / "train")
    folder.mkdir()
    parquet.write_table(table, folder / "train.parquet", row_group_size=8, write_page_checksum=True)
    path = folder / "train.parquet"
    content = bytearray(path.read_bytes())
    at = content.index(table["image"][20]["bytes"].as_py()[-200:-160])
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunFailed, match=r"row group 2 of .*/train\.parquet cannot be read \(.*\); fetch it again"):
        epoch_of(open_parquet(folder, tmp_path), 0)


def test_an_image_that_cannot_be_decoded_is_named(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    table = table_of(photos / "train")
    images = table["image"].to_pylist()
    images[13]["bytes"] = images[13]["bytes"][:-300]
    write_split(table.set_column(0, "image", pa.array(images, IMAGE)), folder, "train", files=1, rows=5)
    line = r"image .*/train-00000-of-00001\.parquet, row group 2, row 3 cannot be read \(image file is truncated"
    with pytest.raises(RunFailed, match=line):
        epoch_of(open_parquet(folder, tmp_path), 0)


def test_rows_that_are_gone_are_noticed(photos: Path, tmp_path: Path) -> None:
    folder = write_parquet(photos, tmp_path / "data")
    files = ParquetFiles(**settings(tmp_path))
    before = files.scan(str(folder), "train")
    assert before is not None and before.state.class_images == [16, 16]
    copy = write_parquet(photos, tmp_path / "copy")
    again = files.scan(str(copy), "train")
    assert again is not None and again.state.fingerprint == before.state.fingerprint
    rewritten(lambda table: table.slice(1))(folder)
    now = files.scan(str(folder), "train")
    assert now is not None and now.state.fingerprint != before.state.fingerprint


def test_files_as_datasets_writes_them(photos: Path, tmp_path: Path) -> None:
    """As ``Dataset.push_to_hub`` of datasets 5.2: images neither compressed nor in a dictionary, in pages, indexes."""
    (tmp_path / "data").mkdir()
    options: dict[str, Any] = {
        "compression": {"image.bytes": "none", "image.path": "snappy", "label": "snappy"},
        "use_dictionary": ["image.path", "label"],
        "column_encoding": {"image.bytes": "PLAIN"},
        **{"write_page_index": True, "data_page_size": 2000, "write_batch_size": 1},
    }
    for split, name in (("train", "train"), ("val", "validation")):
        parquet.write_table(table_of(photos / split), tmp_path / "data" / f"{name}-00000-of-00001.parquet", **options)
    assert same(epoch_of(open_parquet(tmp_path / "data", tmp_path), 0), epoch_of(open_loader("compiled", photos), 0))


def test_metadata_of_other_programs_does_no_harm(photos: Path, tmp_path: Path) -> None:
    for metadata in ({b"huggingface": b"no JSON"}, {b"huggingface": json.dumps([1]).encode()}, {b"pandas": b"{}"}):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for split, name in (("train", "train"), ("val", "validation")):
            write_split(table_of(photos / split).replace_schema_metadata(metadata), folder, name)
        assert prepare(folder, tmp_path, classes=2) == []


def test_sizes_are_looked_at_whatever_the_images_are(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (30, 20)).save(content, "PNG")
    rows = [{"bytes": content.getvalue(), "path": None}, {"bytes": b"no image", "path": None}]
    table = pa.table({"image": pa.array(rows, IMAGE), "label": [0, 1]})
    write_split(table, tmp_path / "data", "train", files=1)
    known = ParquetFiles(**settings(tmp_path)).known(str(tmp_path / "data"))
    assert known is not None and known.side == 20
