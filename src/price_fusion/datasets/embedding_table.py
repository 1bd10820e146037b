"""Embedding tables of the library, as a Kedro dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from kedro.io import AbstractDataset

from price_fusion.data.table import Check, EmbeddingTable, TableDraft, write_table
from price_fusion.datasets.errors import kedro_errors
from price_fusion.datasets.local_path import local_path
from price_fusion.datasets.recorded import FileRecord
from price_fusion.errors import ParameterError


class EmbeddingTableDataset(FileRecord, AbstractDataset[TableDraft, EmbeddingTable]):
    """A folder with ids, a memory-mapped matrix and a manifest.

    Saving takes a ``TableDraft``, so that a matrix is converted block by block on its way to the disk; loading gives an
    ``EmbeddingTable``, memory-mapped, whose files are known to be those that were saved.

    Args:
        filepath: the folder.
        source: name of the source.
        check: when files are hashed: ``always``, once in each run; ``once``, when they are new or were changed.
        metadata: for plugins.

    Raises:
        ParameterError: if ``check`` is neither.
    """

    def __init__(
        self, *, filepath: str, source: str, check: Check = "always", metadata: dict[str, Any] | None = None
    ) -> None:
        if check not in get_args(Check):
            raise ParameterError(
                f"the table of {source!r}: check is {check!r}, expected one of {', '.join(get_args(Check))}. Fix check_tables "
                "in conf/<environment>/globals.yml, or check of the table in the catalog."
            )
        self._filepath = local_path(filepath)
        self._source = source
        self._check: Check = check
        self.metadata = metadata

    def load(self) -> EmbeddingTable:
        """Open the table and check its files."""
        with kedro_errors():
            return EmbeddingTable(self._filepath, self._check)

    def save(self, data: TableDraft) -> None:
        """Replace the table."""
        with kedro_errors():
            write_table(self._filepath, self._source, data)
            self._record()

    @property
    def recorded_file(self) -> Path:
        """The manifest."""
        return self._filepath / "manifest.json"

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "source": self._source, "check": self._check}
