"""A folder in which DuckDB works on more than memory holds, and which is gone afterwards."""

from __future__ import annotations

import os
import re
import shutil
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from price_fusion.errors import ComputeError, DataError, StorageError
from price_fusion.lazy import duckdb
from price_fusion.storage.files import storage_errors

MEMORY_A_THREAD = 250_000_000
"""Bytes that DuckDB should have for each of its threads."""
_NO_SPACE = re.compile(r"max_temp_directory_size|temp_directory|No space left|quota|Could not write|out of disk", re.I)


class Workspace:
    """A DuckDB database in a folder of its own, removed by ``close``, with the object, or when the process ends.

    What a killed process left in the folder is removed first.

    Args:
        folder: of the database and all that DuckDB spills.
        memory_bytes: that DuckDB may take.

    Raises:
        StorageError: if the folder cannot be made.
    """

    def __init__(self, folder: Path, memory_bytes: int) -> None:
        self.folder = folder
        with storage_errors(folder):
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        threads = min(len(os.sched_getaffinity(0)), max(1, memory_bytes // MEMORY_A_THREAD))
        with duckdb_errors(str(folder), folder):
            self.connection: duckdb.DuckDBPyConnection = duckdb.connect(
                folder / "database.duckdb",
                config={
                    "memory_limit": f"{memory_bytes}B",
                    "temp_directory": str(folder / "temporary"),
                    "threads": threads,
                    "enable_external_file_cache": False,
                    "autoinstall_known_extensions": False,
                    "autoload_known_extensions": False,
                },
            )

    def run(self, sql: str) -> None:
        """Execute a statement."""
        self.connection.execute(sql)

    def value(self, sql: str) -> Any:
        """The first value of the first row of a query."""
        rows = self.connection.execute(
            sql
        ).fetchall()  # all of them: an unfinished result would be in the next query's way
        return rows[0][0] if rows else None

    def close(self) -> None:
        """Close the database and remove the folder."""
        self.connection.close()
        self._remove()


def quoted(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def column_name(name: str) -> str:
    """The name of a column in SQL."""
    return '"' + name.replace('"', '""') + '"'


def file_list(paths: list[str]) -> str:
    """Files in SQL, by their very names: DuckDB takes them for patterns."""
    literal = (re.sub(r"([*?\[])", r"[\1]", path) for path in paths)
    return f"[{', '.join(map(quoted, literal))}]"


@contextmanager
def duckdb_errors(origin: str, folder: Path) -> Iterator[None]:
    """Turn DuckDB's errors into ours.

    Args:
        origin: what DuckDB reads, for messages.
        folder: where it works.

    Raises:
        StorageError: if what DuckDB spills goes beyond the disk, or the input cannot be reached.
        ComputeError: if its memory does not suffice.
        DataError: if the input is malformed.
    """
    try:
        yield
    except duckdb.Error as error:
        message = str(error)
        if _is_of_space(error, folder):
            raise _no_space(message, origin, folder) from error
        if isinstance(error, duckdb.OutOfMemoryException):
            raise ComputeError(
                f"{origin}: DuckDB needs more memory than it has ({_first_line(message)}). Raise compute.memory_gb, or free some "
                "memory, and give the same command again."
            ) from error
        if isinstance(error, duckdb.IOException):
            raise StorageError(
                f"{origin}: could not be read ({_first_line(message)}). Check that it is there and whole, and give the same "
                "command again."
            ) from error
        if isinstance(error, (duckdb.InvalidInputException, duckdb.ConversionException)):
            raise _malformed(message, origin) from error
        raise


def _is_of_space(error: Exception, folder: Path) -> bool:
    of_disk = (duckdb.OutOfMemoryException, duckdb.IOException, duckdb.FatalException)
    message = str(error)
    return isinstance(error, of_disk) and bool(
        _NO_SPACE.search(message) or (isinstance(error, duckdb.IOException) and str(folder) in message)
    )


def _no_space(message: str, origin: str, folder: Path) -> StorageError:
    free = shutil.disk_usage(next(one for one in (folder, *folder.parents) if one.exists())).free / 1e9
    return StorageError(
        f"{folder}: could not hold what DuckDB puts there while it works on {origin} ({_first_line(message)}; {free:.2f} GB "
        "free on its disk). What is finished is kept. Free some space, name a folder on a larger disk as compute.spill, or "
        "raise compute.memory_gb, and give the same command again."
    )


def _malformed(message: str, origin: str) -> DataError:
    return DataError(
        f"{origin}: is damaged, or of another kind than its name says ({_first_line(message)}), expected a table of products. "
        "Write it again."
    )


def _first_line(message: str) -> str:
    return message.strip().partition("\n")[0][:400]
