"""Embedding tables of the library, as a Kedro dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from price_fusion.data.table import Check, EmbeddingTable, TableDraft, write_table
from price_fusion.datasets.saved_output import SavedOutput
from price_fusion.errors import ParameterError


class EmbeddingTableDataset(SavedOutput[TableDraft, EmbeddingTable]):
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
        super().__init__(filepath=filepath, metadata=metadata)
        self._source = source
        self._check: Check = check

    def _read(self, path: Path) -> EmbeddingTable:
        return EmbeddingTable(path, self._check)

    def _write(self, path: Path, data: TableDraft) -> None:
        write_table(path, self._source, data)

    def _describe(self) -> dict[str, Any]:
        return {**super()._describe(), "source": self._source, "check": self._check}
