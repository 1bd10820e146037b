"""Embedding tables in partitions: ids and vectors as fixed-size binary, readable by whatever reads parquet.

Columns: ``sample_id`` (int64 or string), ``place`` (ascending in the order of what the table was made from), ``vector`` (D numbers
of the table's type, little-endian), and ``structural`` (K float32, likewise), each of the latter two where there are such columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import TypeAdapter

from price_fusion.data.ids import Ids, rows_of
from price_fusion.errors import DataError
from price_fusion.parameters import Source
from price_fusion.storage.partitions.parts import AGAIN, Partitions

IDS, PLACE, VECTOR, STRUCTURAL = "sample_id", "place", "vector", "structural"
_DECLARATION: TypeAdapter[Source] = TypeAdapter(Source)


def table_metadata(source: str, declaration: Source, dtype: str, origin: str) -> dict[str, Any]:
    """What the manifest says of an embedding table."""
    return {
        "source": source,
        "declaration": declaration.model_dump(mode="json"),
        "dtype": dtype,
        "origin": origin,
    }


def rows_as_arrow(
    ids: Ids, places: NDArray[np.int64], vectors: NDArray[np.floating[Any]], structural: NDArray[np.float32]
) -> pa.Table:
    """Rows of an embedding table: ids (N,), places (N,), vectors (N, D) as they are stored, structural columns (N, K)."""
    columns = {IDS: pa.array(ids), PLACE: pa.array(places)}
    for name, matrix in ((VECTOR, vectors), (STRUCTURAL, structural)):
        if matrix.shape[1]:
            columns[name] = _binary(matrix)
    return pa.table(columns)


class TablePartitions:
    """An embedding table in partitions.

    Args:
        partitions: whose manifest says that it is one.

    Raises:
        DataError: if it is a table of another kind.
    """

    def __init__(self, partitions: Partitions) -> None:
        self.partitions = partitions
        if "declaration" not in partitions.metadata:
            raise DataError(f"{partitions.url}: partitions, but no embedding table. {AGAIN}")
        self.source: str = partitions.metadata["source"]
        self.declaration: Source = _DECLARATION.validate_python(partitions.metadata["declaration"])
        self.dtype: str = partitions.metadata["dtype"]
        self.origin: str = partitions.origin

    @property
    def fingerprint(self) -> str:
        """Digest of the declaration and of all values."""
        return self.partitions.fingerprint

    @property
    def bytes_per_row(self) -> int:
        """Memory that a row takes."""
        declared = self.declaration
        return declared.embedding_width * np.dtype(self.dtype).itemsize + declared.structural_columns * 4

    def partition(self, number: int) -> PartitionTable:
        """One of them."""
        return PartitionTable(self, number)


class PartitionTable:
    """One partition of an embedding table; see ``TableView``. Ids are read alone where nothing else is asked for."""

    def __init__(self, table: TablePartitions, partition: int) -> None:
        self._table = table
        self._partition = partition
        self.source = table.source
        self.declaration = table.declaration
        self.dtype = table.dtype
        self.origin = table.origin
        self.folder = f"{table.partitions.url}, partition {partition}"
        self.rows: int = table.partitions.rows_in(partition)
        self.width: int = table.declaration.embedding_width
        self.structural_columns: int = table.declaration.structural_columns

    @cached_property
    def ids(self) -> Ids:
        """(N,) int64 or unicode."""
        parts = [_ids(part[IDS]) for part in self._table.partitions.read(self._partition, [IDS])]
        return _joined(parts)

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """(N,) numbers that ascend in the order of what the whole table was made from."""
        parts = [part[PLACE].to_numpy() for part in self._table.partitions.read(self._partition, [PLACE])]
        return np.concatenate([np.empty(0, np.int64), *parts])

    @cached_property
    def vectors(self) -> Sequence[NDArray[np.floating[Any]]]:
        """(N, D), one matrix."""
        return [self._matrix(VECTOR, np.dtype(self.dtype), self.width)]

    @cached_property
    def structural(self) -> NDArray[np.float32]:
        """(N, K)."""
        return self._matrix(STRUCTURAL, np.dtype(np.float32), self.structural_columns)

    def rows_of(self, ids: Ids) -> NDArray[np.int64]:
        """Row of each id, -1 where the partition does not have it."""
        return rows_of(ids, self.ids)

    def _matrix(self, column: str, dtype: np.dtype[Any], width: int) -> NDArray[Any]:
        # One file at a time: beside the matrix no more than that is in memory.
        matrix = np.empty((self.rows, width), dtype)
        start = 0
        for part in self._table.partitions.read(self._partition, [column]) if width else ():
            for chunk in part[column].chunks:
                matrix[start : start + len(chunk)] = matrix_of(chunk, dtype, width, self.folder)
                start += len(chunk)
        return matrix


def matrix_of(chunk: pa.Array, dtype: np.dtype[Any], width: int, origin: str) -> NDArray[Any]:
    """A column of fixed-size binary as a matrix (N, width), not copied and not writable.

    Raises:
        DataError: if rows are of another number of bytes.
    """
    expected = width * dtype.itemsize
    if not pa.types.is_fixed_size_binary(chunk.type) or chunk.type.byte_width != expected or chunk.null_count:
        raise DataError(
            f"{origin}: a column of {chunk.type} with {chunk.null_count} missing values, expected binary of {expected} bytes "
            f"({width} x {dtype.name}). {AGAIN}"
        )
    values = np.frombuffer(chunk.buffers()[1], dtype, len(chunk) * width, chunk.offset * expected)
    return values.reshape(len(chunk), width)


def _binary(matrix: NDArray[Any]) -> pa.FixedSizeBinaryArray:
    little = np.ascontiguousarray(matrix, matrix.dtype.newbyteorder("<"))
    kind = pa.binary(little.shape[1] * little.dtype.itemsize)
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(little), [None, pa.py_buffer(little)])


def _joined(parts: list[Ids]) -> Ids:
    if all(part.dtype.kind != "U" for part in parts):
        return np.concatenate([np.empty(0, np.int64), *parts]).astype(np.int64, copy=False)
    return np.concatenate(parts).astype(np.str_, copy=False)


def _ids(column: pa.ChunkedArray) -> Ids:
    if pa.types.is_integer(column.type):
        return np.asarray(column.to_numpy(), np.int64)
    return np.array(column.to_pylist(), dtype=np.str_)
