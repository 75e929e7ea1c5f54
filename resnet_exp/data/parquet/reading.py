"""Parquet to arrays: the encoded images of a row group, and the labels of a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from resnet_exp.core.errors import RunFailed
from resnet_exp.core.terminal.text import one_line, printable
from resnet_exp.data.parquet.columns import BYTES, Columns

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData, ParquetFile

FIX = "fetch it again"


class Images(NamedTuple):
    """The encoded images of a row group, one after the other; image N begins at ``begins[N]``."""

    data: npt.NDArray[np.uint8]
    begins: npt.NDArray[Any]

    def content(self, row: int) -> npt.NDArray[np.uint8]:
        """The bytes of an image."""
        return self.data[self.begins[row] : self.begins[row + 1]]


@contextmanager
def _readable(what: str, path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        # What pyarrow says begins with the class of its own error.
        said = (error.strerror if isinstance(error, OSError) else "") or one_line(error) or type(error).__name__
        raise RunFailed(f"{what}{printable(path)} cannot be read ({said}); {FIX}") from error


def footer_of(path: Path) -> FileMetaData:
    """What the end of a file says; raises `RunFailed` if it is no Parquet file, or cut off."""
    from pyarrow import parquet

    with _readable("Parquet file ", path):
        return parquet.read_metadata(path)


def _opened(path: Path, footer: FileMetaData) -> ParquetFile:
    from pyarrow import parquet

    # Mapped: what is not decoded anew is not copied either.
    return parquet.ParquetFile(path, metadata=footer, memory_map=True, page_checksum_verification=True)


def images_of(path: Path, footer: FileMetaData, columns: Columns, group: int) -> Images:
    """The images of a row group.

    Raises:
        RunFailed: it is damaged, or an image is missing; names file, row group and row.
    """
    with _readable(f"row group {group} of ", path), _opened(path, footer) as file:
        column = file.read_row_group(group, columns=[columns.image], use_threads=False).column(0).combine_chunks()
    found = column.field(BYTES) if columns.image.endswith(f".{BYTES}") and hasattr(column, "field") else column
    if found.null_count:
        row = int(np.flatnonzero(found.is_null())[0])
        raise RunFailed(f"{place(path, group, row)} has no image; write the files with the images' bytes in them")
    _, offsets, data = found.buffers()
    width = np.int64 if str(found.type) == "large_binary" else np.int32
    begins = np.frombuffer(offsets, width)[found.offset : found.offset + len(found) + 1]
    return Images(np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8), begins)


def labels_of(path: Path, footer: FileMetaData, columns: Columns) -> tuple[npt.NDArray[np.int64], list[str]]:
    """The labels of a file: numbers, and if they are names, these, in the order of the numbers.

    Raises:
        RunFailed: they are damaged, or one is missing; names file and row.
    """
    import pyarrow as pa

    with _readable("labels of ", path), _opened(path, footer) as file:
        column = file.read(columns=[columns.label], use_threads=False).column(0)
        if columns.text or pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        found = column.combine_chunks()
        # Of no rows pyarrow gives no array.
        found = found.chunk(0) if isinstance(found, pa.ChunkedArray) else found
    if found.null_count:
        row = int(np.flatnonzero(found.is_null())[0])
        raise RunFailed(f"{printable(path)}: row {row} has no label; write the file without it")
    if not columns.text:
        values = found.dictionary_decode() if pa.types.is_dictionary(found.type) else found
        return values.to_numpy(zero_copy_only=False).astype(np.int64), []
    return found.indices.to_numpy(zero_copy_only=False).astype(np.int64), found.dictionary.to_pylist()


def place(path: Path, group: int, row: int) -> str:
    """How an image is called in a message."""
    return f"{printable(path)}, row group {group}, row {row}"
