"""Tables in partitions, as a Kedro dataset: in a folder, or in an object store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from price_fusion.data.partitions.partition_alignment import SOURCE, ChosenProducts
from price_fusion.data.partitions.scatter import write_table_partitions
from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.datasets.errors import DatasetFileError, kedro_errors
from price_fusion.datasets.made_from import Facts, as_text, from_text
from price_fusion.datasets.recorded import RecordedOutput
from price_fusion.errors import PriceFusionError
from price_fusion.storage.partitions.parts import MANIFEST, PartitionDraft, Partitions, is_finished, write_draft
from price_fusion.storage.store import Store

RECORD = "_made_from.json"
"""Beside the manifest: the recipe of the table, and what it was made from."""
Loaded = Partitions | TablePartitions


class PartitionsDataset(RecordedOutput, AbstractDataset[PartitionDraft, Loaded]):
    """A table in partitions. Loading gives its manifest; no rows are read.

    Saving takes a ``PartitionDraft`` and has its executor compute and write what is missing of it. The record of what the
    table was made from lies in its folder, which may be in an object store.

    Args:
        filepath: the folder, or the address of one in an object store (``s3://bucket/folder``).
        source: name of the source whose embeddings they are, if they are embeddings.
        tables: of the products of a model, ``filepath`` of the tables of its sources, with ``<source>`` for their names.
        metadata: for plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        source: str | None = None,
        tables: dict[str, str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = filepath
        self._source = source
        self._tables = _address(tables) if tables is not None else None
        self.metadata = metadata

    def load(self) -> Loaded:
        """Open the table; of the products of a model, ``ChosenProducts``."""
        with kedro_errors():
            if self._tables:
                return ChosenProducts(self._filepath, self._tables)
            partitions = Partitions(self._filepath)
            return TablePartitions(partitions) if self._source else partitions

    def save(self, data: PartitionDraft) -> None:
        """Compute and write the table, or what is missing of it."""
        with kedro_errors():
            if self._source:
                write_table_partitions(self._filepath, self._source, data)
            else:
                write_draft(self._filepath, data)
            self._record()

    @property
    def recorded_file(self) -> Path | None:
        """The manifest, where it is on a disk."""
        store = Store(self._filepath)
        return store.path / MANIFEST if store.is_local else None

    @property
    def lacks_prices(self) -> bool:
        """Whether a model is to predict it first."""
        inputs = () if self.origins is None else self.origins.inputs.values()
        return any(one.is_model for one in inputs) and not self.is_stale and not self.exists()

    def made_from(self) -> Facts | None:
        """What the record says, if it is of the table that is there."""
        try:
            partitions = Partitions(self._filepath)
            record = json.loads(partitions.store.read(RECORD))
        except (PriceFusionError, FileNotFoundError, ValueError):
            return None
        return from_text(record["facts"]) if record["recipe"] == partitions.recipe else None

    def _record(self) -> None:
        facts, partitions = self.facts(), Partitions(self._filepath)
        if facts is None:
            partitions.store.remove(RECORD)
        else:
            partitions.store.write(RECORD, json.dumps({"recipe": partitions.recipe, "facts": as_text(facts)}).encode())
        self.is_stale = False

    def _exists(self) -> bool:
        with kedro_errors():
            return not self.is_stale and is_finished(self._filepath)

    def _describe(self) -> dict[str, Any]:
        more = {"source": self._source, "tables": self._tables}
        return {"filepath": self._filepath} | {name: value for name, value in more.items() if value}


def _address(tables: dict[str, str]) -> str:
    """Of the tables of the sources.

    Raises:
        DatasetFileError: if it does not say where the name of a source is.
    """
    address = tables.get("filepath", "")
    if SOURCE not in address or len(tables) > 1:
        raise DatasetFileError(f"tables is {tables}, expected {{filepath: <folder>/{SOURCE}/<part>}}")
    return address
