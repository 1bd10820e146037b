"""Raw embeddings in parquet files, as many as there are: of pyarrow, DuckDB, Spark, on a disk or in an object store."""

from __future__ import annotations

from dataclasses import dataclass, field

from price_fusion.data.readers.formats.arrow_columns import ColumnReader, find_columns
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.readers.rows import Asked
from price_fusion.errors import DataError
from price_fusion.storage.store import Store

Block = tuple[str, int]
"""File within the folder, and the number of a row group."""


@dataclass(frozen=True)
class ParquetEmbeddings:
    """Files of one folder with a column of ids and one of vectors (lists of floats, or bytes), or one of floats a dimension.

    A row group is read at a time: write them of 100 MB or so.
    """

    url: str
    """The folder; all its ``.parquet`` files count, those of its own folders, too."""
    asked: Asked = field(default_factory=Asked)
    """Which columns, where they have no usual names, and the type of the numbers in a binary one."""

    @property
    def origin(self) -> str:
        """For messages."""
        return self.url

    def blocks(self) -> list[Block]:
        """All row groups, file by file.

        Raises:
            DataError: if there are none, or a file lacks one of the columns, or has one twice.
            StorageError: if a file cannot be read.
        """
        store = Store(self.url)
        found: list[Block] = []
        for name in self.names():
            with store.parquet(name) as file:
                find_columns(file.schema_arrow, self.asked, f"{self.url}/{name}")
                found += [(name, group) for group in range(file.num_row_groups)]
        if not found:
            raise DataError(f"{self.url}: parquet files without rows. Write them again.")
        return found

    def read(self, block: Block) -> RawEmbeddings:
        """Ids and vectors of a row group.

        Raises:
            DataError: as of the reader of parquet files.
            StorageError: if the file cannot be read.
        """
        name, group = block
        place = f"{self.url}/{name}, row group {group}"
        with Store(self.url).parquet(name) as file:
            columns = find_columns(file.schema_arrow, self.asked, place)
            table = file.read_row_group(group, columns=columns.names, use_threads=False)
        found = ColumnReader(columns, self.asked.binary_dtype, place).found(table.combine_chunks().to_batches())
        return RawEmbeddings.from_arrays(found.ids, found.vectors, place, nulls=found.nulls)

    def versions(self) -> dict[str, list[str]]:
        """What tells the contents of each file from others, by its name."""
        store = Store(self.url)
        return {name: store.version(name) for name in self.names()}

    def names(self) -> list[str]:
        """Files within the folder.

        Raises:
            DataError: if there are none.
            StorageError: if the store does not answer.
        """
        store = Store(self.url)
        names = [name for name in store.names() if name.endswith(".parquet")]
        if not names:
            raise DataError(f"{self.url}: found no .parquet file. Put them there, or correct the path in the catalog.")
        return names
