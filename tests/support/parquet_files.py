"""Parquet files of an image folder, as Hugging Face's datasets writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from resnet_exp.data import parquet as data_parquet
from resnet_exp.data.images import image_tree
from support.loaders import split_of

HUB_NAMES = {"train": "train", "val": "validation"}
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def hub_metadata(classes: list[str]) -> dict[bytes, bytes]:
    """What tells datasets what the columns hold."""
    features = {"image": {"_type": "Image"}, "label": {"names": classes, "_type": "ClassLabel"}}
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


def table_of(split_dir: Path, labels: str = "named") -> Any:
    """A table of the images of a split, in the order of all formats.

    Args:
        split_dir: of an image folder.
        labels: ``named`` (numbers whose names are in the metadata), ``numbers`` or ``texts``.
    """
    classes, samples = image_tree.class_names(split_dir), image_tree.samples(split_dir)
    images = pa.array([{"bytes": Path(path).read_bytes(), "path": Path(path).name} for path, _ in samples], IMAGE)
    numbers = [number for _, number in samples]
    column = pa.array([classes[number] for number in numbers]) if labels == "texts" else pa.array(numbers, pa.int64())
    table = pa.table({"image": images, "label": column})
    return table.replace_schema_metadata(hub_metadata(classes)) if labels == "named" else table


def write_split(table: Any, folder: Path, name: str, files: int = 2, rows: int = 3) -> None:
    """Write a table into files with row groups of `rows` rows."""
    folder.mkdir(parents=True, exist_ok=True)
    each = -(-len(table) // files)
    for number in range(files):
        path = folder / f"{name}-{number:05d}-of-{files:05d}.parquet"
        parquet.write_table(table.slice(number * each, each), path, row_group_size=rows)


def write_parquet(photos: Path, folder: Path, labels: str = "named", rows: int = 3) -> Path:
    """Write both splits of an image folder as Parquet files."""
    for split, name in HUB_NAMES.items():
        write_split(table_of(photos / split, labels), folder, name, rows=rows)
    return folder


def settings(cache: Path, **changes: Any) -> dict[str, Any]:
    columns = {"image_column": "image", "label_column": "label", "storage_options": {}}
    return {**columns, "shuffle_block": 16384, "canonical_ranks": 8, "cache_dir": str(cache), **changes}


def open_parquet(folder: Path | str, cache: Path, own: dict[str, Any] | None = None, **changes: Any) -> Any:
    return data_parquet.make_loader(
        split_of(Path("unused"), root=str(folder), **changes), **settings(cache, **(own or {}))
    )
