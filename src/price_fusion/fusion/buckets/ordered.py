"""One CSV file of a table in buckets, its rows in the order of the product file; sorted on the disk where they fit no memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from price_fusion.errors import StorageError
from price_fusion.fusion.buckets.parts import Buckets
from price_fusion.parameters import EngineParameters

ORDER = "row"
"""Column of the place in the product file."""


@dataclass(frozen=True)
class OrderedRows:
    """Some columns of a table, about to be written in order."""

    buckets: Buckets
    columns: tuple[str, ...]
    engine: EngineParameters
    spill: Path
    """Folder for what does not fit ``engine.memory_gb``."""


def write_ordered_csv(path: Path, rows: OrderedRows) -> None:
    """Write a CSV file with a header.

    Args:
        path: of the file.
        rows: what to write.

    Raises:
        StorageError: if there is no room for the file or for what is spilt.
    """
    import duckdb

    buckets, spill = rows.buckets, rows.spill
    spill.mkdir(parents=True, exist_ok=True)
    names = ", ".join(f'"{name}"' for name in rows.columns)
    try:
        with duckdb.connect() as connection:
            connection.execute(f"SET memory_limit = '{rows.engine.memory_bytes}B'")
            connection.execute(f"SET temp_directory = '{_quoted(str(spill))}'")
            files = _files(buckets, connection)
            connection.execute(
                f"COPY (SELECT {names} FROM read_parquet([{files}], hive_partitioning = false) ORDER BY {ORDER}) "  # noqa: S608
                f"TO '{_quoted(str(path))}' (FORMAT csv, HEADER)"
            )
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise StorageError(
            f"{path}: could not be written in the order of the products ({error}). The prices are kept in {buckets.url}. Free "
            f"some space in {spill}, or name another folder (engine.spill), and give the same command again."
        ) from error


def _files(buckets: Buckets, connection: object) -> str:
    """The files of a table, as DuckDB names them; those of an object store are read by fsspec."""
    store = buckets.store
    if not store.is_local:
        connection.register_filesystem(store.filesystem)  # type: ignore[attr-defined]
    root = str(store.path) if store.is_local else store.url
    return ", ".join(f"'{_quoted(f'{root}/{name}')}'" for name in buckets.file_names)


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def shown_columns(columns: Sequence[str], *, intervals: bool) -> tuple[str, ...]:
    """Columns of a submission: ids and prices, with the bounds of intervals where they are wanted."""
    wanted = [name for name in columns if name != ORDER]
    return tuple(wanted if intervals else wanted[:2])
