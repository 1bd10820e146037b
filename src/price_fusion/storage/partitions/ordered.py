"""One CSV file of a table in partitions, its rows in the order of the product file; sorted on the disk where they do not fit in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from price_fusion.parameters import ComputeParameters
from price_fusion.storage.partitions.parts import Partitions
from price_fusion.storage.workspace import Workspace, column_name, duckdb_errors, file_list, quoted


@dataclass(frozen=True)
class OrderedRows:
    """Some columns of a table with a column ``row``, the place in the product file; about to be written in its order."""

    partitions: Partitions
    columns: tuple[str, ...]
    compute: ComputeParameters
    spill: Path
    """Folder for what does not fit ``compute.memory_gb``."""


def write_ordered_csv(path: Path, rows: OrderedRows, headings: Mapping[str, str] = MappingProxyType({})) -> None:
    """Write a CSV file with a header.

    Args:
        path: of the file.
        rows: what to write.
        headings: of the columns that are called otherwise in the file.

    Raises:
        StorageError: if there is no room for the file or for what is spilt.
        ComputeError: if ``compute.memory_gb`` does not suffice.
    """
    partitions = rows.partitions
    folder = rows.spill / f"ordered-{partitions.fingerprint[:12]}"
    workspace = Workspace(folder, rows.compute.memory_bytes)
    try:
        if not partitions.store.is_local:
            workspace.connection.register_filesystem(partitions.store.filesystem)
        root = partitions.store.path if partitions.store.is_local else partitions.url
        files = file_list([f"{root}/{name}" for name in partitions.file_names])
        names = ", ".join(f"{column_name(name)} AS {column_name(headings.get(name, name))}" for name in rows.columns)
        with duckdb_errors(partitions.url, folder):
            workspace.run(
                f"COPY (SELECT {names} FROM read_parquet({files}, hive_partitioning = false) ORDER BY row) "  # noqa: S608
                f"TO {quoted(str(path))} (FORMAT csv, HEADER)"
            )
    finally:
        workspace.close()
