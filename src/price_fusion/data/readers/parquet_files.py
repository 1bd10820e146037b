"""Parquet files with a column of ids and one of vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.readers.file_kinds import unreadable
from price_fusion.data.readers.names import absent
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BinaryDtype = Literal["float16", "float32"]
_INDEX = "__index_level_0__"
_OF_PANDAS = f" {_INDEX!r} is an index of pandas that nobody named: it may hold row numbers."
_END_AND_BEGINNING = b"PAR1PAR1"
"""What stands between two files."""


def read_parquet(path: Path, embeddings: str, ids: str, binary_dtype: BinaryDtype) -> RawEmbeddings:
    """Ids and vectors of a file.

    Raises:
        DataError: if it is damaged, lacks a column or has it twice, or as ``embeddings_of_columns``.
        AlignmentError: if an id occurs twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            refuse_other_columns(file.schema_arrow.names, embeddings, ids, path)
            _refuse_earlier_file(file.metadata, path)
            table = file.read(columns=[embeddings, ids])
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(path, "a parquet file", error) from error
    return embeddings_of_columns(table, embeddings, ids, binary_dtype, str(path))


def _refuse_earlier_file(metadata: pq.FileMetaData, path: Path) -> None:
    """Refuse files that were joined byte by byte: the last footer counts, and its offsets point into the first file."""
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
    ends = [(chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size for chunk in chunks]
    with path.open("rb") as file:
        file.seek(max(ends, default=0))
        rest = file.read()  # indexes of pages, Bloom filters and the footer, in an honest file
    if _END_AND_BEGINNING in rest:
        raise DataError(
            f"{path}: found several parquet files one after the other in one file, of which readers see one, expected one. Read "
            "them apart, and write one with pyarrow.concat_tables and pyarrow.parquet.write_table."
        )


def refuse_other_columns(names: list[str], embeddings: str, ids: str, origin: Path | str) -> None:
    """Refuse a file that lacks one of the two columns, or has one of them twice.

    Raises:
        DataError: naming the column, and what there is.
    """
    for column in (embeddings, ids):
        if column not in names:
            error = absent(origin, "column", column, names)
            raise DataError(
                f"{error} A file has one column of ids and one of vectors (lists of floats, or bytes). If it has a column for "
                "each dimension, write them as one: "
                "pandas.DataFrame({'sample_id': ids, 'embedding': list(frame[columns].to_numpy('float32'))}).to_parquet(FILE)."
                if column == embeddings
                else f"{error}{_OF_PANDAS if _INDEX in names else ''}"
            )
        if names.count(column) > 1:
            raise DataError(
                f"{origin}: found {names.count(column)} columns {column!r}, expected one. Rename or remove the others, and write "
                "the file again."
            )


def embeddings_of_columns(
    table: pa.Table, embeddings: str, ids: str, binary_dtype: BinaryDtype, origin: str
) -> RawEmbeddings:
    """Embeddings of two columns of a parquet file.

    Args:
        table: with both.
        embeddings: column of the vectors: lists of floats, or bytes.
        ids: column of the ids.
        binary_dtype: what bytes are; little-endian.
        origin: the file, for messages.

    Raises:
        DataError: if a field is empty, vectors differ in length, or as ``RawEmbeddings.from_arrays``.
        AlignmentError: if an id occurs twice.
    """
    for column in (embeddings, ids):
        _refuse_nulls(table.column(column), f"{origin}, column {column!r}")
    vectors = _column_vectors(table.column(embeddings), f"{origin}, column {embeddings!r}", binary_dtype)
    return RawEmbeddings.from_arrays(table.column(ids).to_numpy(), vectors, origin)


def _refuse_nulls(column: pa.ChunkedArray, where: str) -> None:
    if column.null_count:
        rows = np.flatnonzero(column.is_null().to_numpy())
        raise DataError(
            f"{where}: {len(rows):,} of {len(column):,} rows are null ({_first(rows)}), expected none. A source may lack "
            "products: leave these rows out of the file (frame.dropna)."
        )


def _column_vectors(column: pa.ChunkedArray, where: str, binary_dtype: BinaryDtype) -> NDArray[Any]:
    """A column of lists or bytes as a matrix (N, D); without a copy where the column is one chunk."""
    import pyarrow.types as kinds

    if column.length() == 0:
        raise DataError(f"{where}: found no rows, expected one a product. Write the file again.")
    if kinds.is_list(column.type) or kinds.is_large_list(column.type) or kinds.is_fixed_size_list(column.type):
        parts = [_list_values(chunk, where) for chunk in column.chunks]
        lengths = _lengths(column, "list_value_length")
    elif kinds.is_binary(column.type) or kinds.is_large_binary(column.type) or kinds.is_fixed_size_binary(column.type):
        parts = [_binary_values(chunk, where, np.dtype(binary_dtype).newbyteorder("<")) for chunk in column.chunks]
        lengths = _lengths(column, "binary_length")
    else:
        raise DataError(
            f"{where}: found the type {column.type}, expected lists of floats, or bytes. Store one vector a row."
        )
    _refuse_ragged(lengths, where)
    return (parts[0] if len(parts) == 1 else np.concatenate(parts)).reshape(column.length(), -1)


def _list_values(chunk: pa.Array, where: str) -> NDArray[Any]:
    """The numbers of all lists of a chunk, one after the other."""
    import pyarrow.types as kinds

    values = chunk.flatten()
    if not kinds.is_floating(values.type):
        raise DataError(
            f"{where}: found lists of {values.type}, expected lists of floats. Store the vectors as floats."
        )
    if values.null_count:
        raise DataError(
            f"{where}: found {values.null_count} empty values inside the lists, expected numbers only. "
            "Leave those products out of the file."
        )
    return np.asarray(values.to_numpy(zero_copy_only=True))


def _binary_values(chunk: pa.Array, where: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The numbers in all byte strings of a chunk, one after the other."""
    import pyarrow as pa

    # One layout for all kinds of bytes: 64-bit offsets into one buffer.
    uniform = chunk.cast(pa.large_binary())
    _, offsets_buffer, data = uniform.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)[uniform.offset : uniform.offset + len(uniform) + 1]
    uneven = np.flatnonzero(np.diff(offsets) % dtype.itemsize)
    if len(uneven):
        raise DataError(
            f"{where}: found {np.diff(offsets)[uneven[0]]} bytes in row {uneven[0]}, expected a multiple of "
            f"{dtype.itemsize} ({dtype.name}). Set the dtype that the bytes were written with, or write the file again."
        )
    count = int(offsets[-1] - offsets[0]) // dtype.itemsize
    return np.frombuffer(data or b"", dtype=dtype, count=count, offset=int(offsets[0]))


def _lengths(column: pa.ChunkedArray, function: str) -> NDArray[Any]:
    """Length of each row's list (in values) or byte string (in bytes), (N,)."""
    import pyarrow.compute as pc

    return np.asarray(pc.call_function(function, [column]).to_numpy())


def _refuse_ragged(lengths: NDArray[Any], where: str) -> None:
    rows = np.flatnonzero(lengths != lengths[0])
    if len(rows) or lengths[0] == 0:
        found = (
            f"{lengths[rows[0]]} in row {rows[0]} and {len(rows) - 1} more like it" if len(rows) else "0 in each row"
        )
        raise DataError(
            f"{where}: rows differ in length or are empty: found {lengths[0]} in row 0, {found}; expected one width. "
            "Write the vectors of one encoder only."
        )


def _first(rows: NDArray[Any]) -> str:
    shown = ", ".join(map(str, rows[:5]))
    return f"row {shown}" if len(rows) == 1 else f"rows {shown}{', ...' if len(rows) > 5 else ''}"
