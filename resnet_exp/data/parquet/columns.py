"""What the footer of a Parquet file says: where images and labels are, and how the classes are called.

Images are encoded files: a binary column, or one of structs with ``bytes``, which is the feature ``Image`` of Hugging
Face's datasets 5.2. Its feature ``ClassLabel`` puts the names of the classes into the metadata of the schema.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import byte_size
from resnet_exp.data.parquet.storage import Range

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData

BYTES = "bytes"
# Offsets within a column of Arrow have 32 bits, and a row group is in memory as a whole.
MOST_BYTES = 2**31 - 1


@dataclass(frozen=True)
class Columns:
    """The two columns of a file.

    Attributes:
        image: path of the column that holds the encoded images, such as ``image.bytes``.
        label: name of the column of labels.
        text: whether labels are names, or else numbers.
        classes: names of the classes; None if the file does not say.
    """

    image: str
    label: str
    text: bool
    classes: tuple[str, ...] | None


@dataclass(frozen=True)
class Group:
    """A row group: its rows, and where its images and its labels are in the file."""

    rows: int
    images: Range
    labels: Range


def columns_of(footer: FileMetaData, where: str, image: str, label: str) -> Columns:
    """The columns that `image` and `label` name; `where` names the file in errors.

    Raises:
        RequestError: one is not there, or holds something else.
    """
    import pyarrow as pa

    schema = footer.schema.to_arrow_schema()
    for key, name in (("image", image), ("label", label)):
        if name not in schema.names:
            raise RequestError(
                f"{where}: data.loader.{key}_column={name} is not in it; it has {', '.join(schema.names)}"
            )
    found, labels = schema.field(image).type, schema.field(label).type
    if pa.types.is_dictionary(labels):
        labels = labels.value_type
    path = image
    if pa.types.is_struct(found) and found.get_field_index(BYTES) >= 0:
        path, found = f"{image}.{BYTES}", found.field(BYTES).type
    if not (pa.types.is_binary(found) or pa.types.is_large_binary(found)):
        raise RequestError(
            f"{where}: data.loader.image_column={image} holds {found}; what can be read is binary, or a struct with "
            "bytes"
        )
    text = pa.types.is_string(labels) or pa.types.is_large_string(labels)
    if not (text or pa.types.is_integer(labels)):
        raise RequestError(
            f"{where}: data.loader.label_column={label} holds {labels}; what can be read is whole numbers, or names"
        )
    return Columns(path, label, text, None if text else _class_names(schema.metadata or {}, label))


def _class_names(metadata: dict[bytes, bytes], label: str) -> tuple[str, ...] | None:
    try:
        feature: Any = json.loads(metadata[b"huggingface"])["info"]["features"][label]
        return tuple(map(str, feature["names"])) if feature["_type"] == "ClassLabel" else None
    except (KeyError, TypeError, ValueError):
        return None


def groups_of(footer: FileMetaData, columns: Columns, where: str) -> list[Group]:
    """The row groups of a file.

    Raises:
        RequestError: one is too large.
    """
    paths = {footer.schema.column(number).path: number for number in range(footer.num_columns)}
    image, label = paths[columns.image], paths[columns.label]
    found: list[Group] = []
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        images = group.column(image)
        if images.total_uncompressed_size > MOST_BYTES:
            raise RequestError(
                f"{where}: row group {number} has {byte_size(images.total_uncompressed_size)} of images, and is read "
                f"into memory as a whole; write the file with smaller ones, such as row_group_size=100"
            )
        found.append(Group(group.num_rows, _range(images), _range(group.column(label))))
    return found


def _range(chunk: Any) -> Range:
    starts = [chunk.data_page_offset, *([chunk.dictionary_page_offset] if chunk.has_dictionary_page else [])]
    return min(starts), min(starts) + chunk.total_compressed_size


def first_null_group(footer: FileMetaData, columns: Columns) -> int | None:
    """A row group that lacks an image, by its statistics; None if there is none, or the file has no statistics."""
    paths = {footer.schema.column(number).path: number for number in range(footer.num_columns)}
    for number in range(footer.num_row_groups):
        statistics = footer.row_group(number).column(paths[columns.image]).statistics
        if statistics is not None and statistics.has_null_count and statistics.null_count:
            return number
    return None
