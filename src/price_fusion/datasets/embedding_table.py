"""Embedding tables of the library, as a Kedro dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from price_fusion.datasets.errors import kedro_errors
from price_fusion.fusion.tables.table import EmbeddingTable, TableDraft, write_table


class EmbeddingTableDataset(AbstractDataset[TableDraft, EmbeddingTable]):
    """A folder with ids, a memory-mapped matrix and a manifest.

    Saving takes a ``TableDraft``, so that a matrix is converted block by block on its way to the disk; loading gives an
    ``EmbeddingTable``, of which nothing but the manifest has been read.

    Args:
        filepath: the folder.
        source: name of the source.
        metadata: for plugins.
    """

    def __init__(self, *, filepath: str, source: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._source = source
        self.metadata = metadata

    def load(self) -> EmbeddingTable:
        """Open the table."""
        with kedro_errors():
            return EmbeddingTable(self._filepath)

    def save(self, data: TableDraft) -> None:
        """Replace the table."""
        with kedro_errors():
            write_table(self._filepath, self._source, data)

    def _exists(self) -> bool:
        return (self._filepath / "manifest.json").is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "source": self._source}
