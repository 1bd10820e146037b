"""Parquet files with columns of ids and of vectors: one, or a folder of parts as Spark and Dask write it."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from price_fusion.data.readers.file_kinds import unreadable
from price_fusion.data.readers.formats.arrow_columns import ColumnReader, Columns, find_columns
from price_fusion.data.readers.rows import Asked, FoundRows, Located, counted
from price_fusion.errors import DataError
from price_fusion.lazy import pa, pq

BATCH_ROWS = 8_192
_END_AND_BEGINNING = b"PAR1PAR1"
"""What stands between two files."""


def read_parquet(located: Located, asked: Asked, origin: str) -> FoundRows:
    """Ids and vectors of one or more files, a batch of rows in memory at a time.

    Raises:
        DataError: if a file is damaged, lacks a column or has it twice, has other columns than the first, or as of
            ``ColumnReader``.
    """
    first, *others = located.vectors
    columns = _columns_of(first, asked, origin if not others else str(first))
    rows: list[int] = []
    found = ColumnReader(columns, asked.binary_dtype, origin).found(_batches(located, columns, asked, origin, rows))
    return replace(found, rows_by_file=rows)


def _batches(
    located: Located, columns: Columns, asked: Asked, origin: str, rows: list[int]
) -> Iterator[pa.RecordBatch]:
    single = len(located.vectors) == 1
    for path in located.vectors:
        name = origin if single else str(path)
        if not single and _columns_of(path, asked, name) != columns:
            raise DataError(
                f"{name}: found other columns of vectors than in {located.vectors[0].name!r}, expected the same in all parts. Write "
                "the folder again."
            )
        try:
            with pq.ParquetFile(path, memory_map=True, page_checksum_verification=True) as file:
                _refuse_earlier_file(path, name)
                yield from counted(file.iter_batches(BATCH_ROWS, columns=columns.names), rows)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise unreadable(name, "a parquet file", error) from error


def _columns_of(path: Path, asked: Asked, name: str) -> Columns:
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            return find_columns(file.schema_arrow, asked, name)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(name, "a parquet file", error) from error


def _refuse_earlier_file(path: Path, name: str) -> None:
    """Refuse files that were joined byte by byte: the last footer counts, and its offsets point into the first file.

    Where the columns end is not asked: pyarrow ends the process on some footers whose description of a column is damaged.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        joined = content.find(_END_AND_BEGINNING) >= 0
    if joined:
        raise DataError(
            f"{name}: found several parquet files one after the other in one file, of which readers see one, expected one. Read "
            "them apart, and write one with pyarrow.concat_tables and pyarrow.parquet.write_table."
        )
