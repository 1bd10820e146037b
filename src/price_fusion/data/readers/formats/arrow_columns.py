"""Ids and vectors in columns of Arrow, as parquet and Arrow IPC files hold them.

Shape letters: ``N`` rows, ``D`` width, ``B`` rows of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.readers.formats.arrow_vectors import floats_of, holds_vectors, is_float, matrix_of
from price_fusion.data.readers.formats.dimensions import dimensions
from price_fusion.data.readers.formats.spooled import spooled
from price_fusion.data.readers.names import absent, chosen
from price_fusion.data.readers.rows import ID_NAMES, VECTOR_NAMES, Asked, BinaryDtype, FoundRows, Located, first_rows
from price_fusion.errors import DataError
from price_fusion.lazy import pa

_INDEX = "__index_level_0__"
_OF_PANDAS = f" {_INDEX!r} is an index of pandas that nobody named: it may hold row numbers."


@dataclass(frozen=True)
class Columns:
    """Which columns hold what."""

    vectors: tuple[str, ...]
    """One of vectors, or one of floats for each dimension."""
    ids: str | None
    """None where rows are in the order of the product file."""
    side_by_side: bool
    """Whether there is a column for each dimension."""

    @property
    def names(self) -> list[str]:
        """All of them."""
        return [*self.vectors, *([self.ids] if self.ids is not None else [])]


def find_columns(schema: pa.Schema, asked: Asked, origin: Path | str) -> Columns:
    """The columns that are meant: those asked for, those of usual names, or the only ones that can be.

    Raises:
        DataError: naming a column that is not there or twice, and what there is.
    """
    names: list[str] = schema.names
    ids = None if asked.of_products else chosen(asked.ids, ID_NAMES, names)
    if ids is None and not asked.of_products:
        error = absent(origin, "column", asked.ids or ID_NAMES[1], names)
        raise DataError(f"{error}{_OF_PANDAS if _INDEX in names else ''}")
    vectors = chosen(asked.embeddings, VECTOR_NAMES, names)
    if vectors is None and asked.embeddings is None:
        of_vectors = [one.name for one in schema if one.name != ids and holds_vectors(one.type)]
        vectors = of_vectors[0] if len(of_vectors) == 1 else None
    if vectors is not None:
        found = Columns((vectors,), ids, side_by_side=False)
    else:
        floats = [one.name for one in schema if one.name != ids and is_float(one.type)]
        others = [name for name in names if name != ids and name not in floats]
        found = Columns(tuple(dimensions(floats, others, asked.embeddings, str(origin))), ids, side_by_side=True)
    for name in found.names:
        if names.count(name) > 1:
            raise DataError(
                f"{origin}: found {names.count(name)} columns {name!r}, expected one. Rename or remove the others, and write the file "
                "again."
            )
    return found


def read_files(
    located: Located,
    asked: Asked,
    origin: str,
    schema_of: Callable[[Path, str], pa.Schema],
    batches_of: Callable[[Path, str, Columns], Iterator[pa.RecordBatch]],
) -> FoundRows:
    """Ids and vectors of one or more files, a batch of rows in memory at a time.

    Args:
        located: the files.
        asked: names of columns.
        origin: the file or folder, for messages.
        schema_of: gives the columns of a file; it takes its path, and its name for messages.
        batches_of: gives these columns of its rows, likewise.

    Raises:
        DataError: if a file lacks a column or has it twice, has other columns than the first, or as of ``ColumnReader``.
    """
    first, *others = [(path, str(path) if len(located.vectors) > 1 else origin) for path in located.vectors]
    columns = find_columns(schema_of(*first), asked, first[1])
    rows: list[int] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for path, name in [first, *others]:
            if path != first[0] and find_columns(schema_of(path, name), asked, name) != columns:
                raise DataError(
                    f"{name}: found other columns of vectors than in {first[0].name!r}, expected the same in all parts. Write the "
                    "folder again."
                )
            rows.append(0)
            for batch in batches_of(path, name, columns):
                rows[-1] += len(batch)
                yield batch

    return replace(ColumnReader(columns, asked.binary_dtype, origin).found(batches()), rows_by_file=rows)


@dataclass
class ColumnReader:
    """Reads batches of rows, one after the other.

    Attributes:
        columns: that are read.
        binary_dtype: of bytes.
        origin: the file or folder, for messages.
        rows: that have been read.
        ids: of them, a piece a batch.
        nulls: their numbers where there is no vector, likewise.
    """

    columns: Columns
    binary_dtype: BinaryDtype
    origin: str
    rows: int = 0
    ids: list[Any] = field(default_factory=list)
    nulls: list[NDArray[np.int64]] = field(default_factory=list)

    def found(self, batches: Iterable[pa.RecordBatch]) -> FoundRows:
        """All rows; few of them are in memory at a time.

        Raises:
            DataError: if an id is empty, vectors differ in length, or are not of floats.
            StorageError: if the temporary folder has no room.
        """
        vectors = spooled(self._blocks(batches), self.origin)
        nulls = np.concatenate(self.nulls) if self.nulls else np.empty(0, np.int64)
        ids = pa.chunked_array(self.ids).to_numpy() if self.ids else None
        if not self.rows:
            raise DataError(f"{self.origin}: found no rows, expected one a product. Write the file again.")
        return FoundRows(ids, vectors, nulls)

    def _blocks(self, batches: Iterable[pa.RecordBatch]) -> Iterator[NDArray[Any]]:
        """Matrices (B, D); rows at the beginning without a vector wait for the first one, which says how wide they are."""
        waiting, like = 0, np.empty((0, 1), np.float32)
        for batch in batches:
            if self.columns.ids is not None:
                self.ids.append(self._checked_ids(batch.column(self.columns.ids)))
            block, nulls = self._matrix(batch)
            self.nulls.append(nulls + self.rows)
            self.rows += len(block)
            if len(nulls) == len(block):
                waiting += len(block)
                continue
            like = block
            if waiting:
                yield np.full((waiting, like.shape[1]), np.nan, like.dtype)
                waiting = 0
            yield block
        if waiting:
            yield np.full((waiting, like.shape[1]), np.nan, like.dtype)

    def _checked_ids(self, ids: pa.Array) -> pa.Array:
        if ids.null_count:
            rows = np.flatnonzero(ids.is_null().to_numpy(zero_copy_only=False)) + self.rows
            raise DataError(
                f"{self.origin}, column {self.columns.ids!r}: {len(rows):,} rows are null ({first_rows(rows)}), expected an id in each. Leave "
                "these rows out of the file (frame.dropna)."
            )
        return ids

    def _matrix(self, batch: pa.RecordBatch) -> tuple[NDArray[Any], NDArray[np.int64]]:
        if self.columns.side_by_side:
            parts = [floats_of(batch.column(name)) for name in self.columns.vectors]
            matrix = np.stack(parts, axis=1)
            if not any(batch.column(name).null_count for name in self.columns.vectors):
                return matrix, np.empty(0, np.int64)
            masks = [batch.column(name).is_null().to_numpy(zero_copy_only=False) for name in self.columns.vectors]
            return matrix, np.flatnonzero(np.logical_and.reduce(masks))
        where = f"{self.origin}, column {self.columns.vectors[0]!r}"
        return matrix_of(batch.column(self.columns.vectors[0]), where, np.dtype(self.binary_dtype), self.rows)
