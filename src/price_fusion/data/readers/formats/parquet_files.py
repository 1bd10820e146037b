"""Parquet files with columns of ids and of vectors: one, or a folder of parts as Spark and Dask write it."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from price_fusion.data.readers.file_kinds import unreadable
from price_fusion.data.readers.formats.arrow_columns import Columns, read_files
from price_fusion.data.readers.rows import Asked, FoundRows, Located
from price_fusion.errors import DataError
from price_fusion.lazy import pa, pq

BATCH_ROWS = 8_192
_END_AND_BEGINNING = b"PAR1PAR1"
"""What stands between two files."""


def read_parquet(located: Located, asked: Asked, origin: str) -> FoundRows:
    """Ids and vectors of one or more files, a batch of rows in memory at a time.

    Raises:
        DataError: if a file is damaged, or as of ``read_files``.
    """
    return read_files(located, asked, origin, _schema, _batches)


def _schema(path: Path, name: str) -> pa.Schema:
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            return file.schema_arrow
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(name, "a parquet file", error) from error


def _batches(path: Path, name: str, columns: Columns) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path, memory_map=True, page_checksum_verification=True) as file:
            _refuse_earlier_file(path, name)
            yield from file.iter_batches(BATCH_ROWS, columns=columns.names)
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
