"""Tables in hash buckets, as Kedro datasets: in a folder, or in an object store."""

from __future__ import annotations

import json
from typing import Any

from kedro.io import AbstractDataset

from price_fusion.data.buckets.scatter import write_table_buckets
from price_fusion.data.buckets.table_buckets import TableBuckets
from price_fusion.datasets.errors import kedro_errors
from price_fusion.datasets.made_from import Facts, as_text, from_text
from price_fusion.datasets.recorded import RecordedOutput
from price_fusion.errors import PriceFusionError
from price_fusion.storage.buckets.drafts import BucketDraft, write_draft
from price_fusion.storage.buckets.parts import Buckets, is_finished

RECORD = "_made_from.json"
"""Beside the manifest: the recipe of the table, and what it was made from."""


class _BucketsRecord(RecordedOutput):
    """The record of a table in buckets lies in its folder, which may be in an object store."""

    _filepath: str

    def made_from(self) -> Facts | None:
        """What the record says, if it is of the table that is there."""
        try:
            buckets = Buckets(self._filepath)
            record = json.loads(buckets.store.read(RECORD))
        except (PriceFusionError, FileNotFoundError, ValueError):
            return None
        return from_text(record["facts"]) if record["recipe"] == buckets.recipe else None

    def _record(self) -> None:
        facts, buckets = self.facts(), Buckets(self._filepath)
        if facts is None:
            buckets.store.remove(RECORD)
        else:
            buckets.store.write(RECORD, json.dumps({"recipe": buckets.recipe, "facts": as_text(facts)}).encode())
        self.is_stale = False

    def _exists(self) -> bool:
        with kedro_errors():
            return not self.is_stale and is_finished(self._filepath)


class BucketsDataset(_BucketsRecord, AbstractDataset[BucketDraft, Buckets]):
    """A table in hash buckets. Loading gives its manifest; no rows are read.

    Saving takes a ``BucketDraft`` and has its engine compute and write what is missing of it.

    Args:
        filepath: the folder, or the address of one in an object store (``s3://bucket/folder``).
        metadata: for plugins.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = filepath
        self.metadata = metadata

    def load(self) -> Buckets:
        """Open the table."""
        with kedro_errors():
            return Buckets(self._filepath)

    def save(self, data: BucketDraft) -> None:
        """Compute and write the table, or what is missing of it."""
        with kedro_errors():
            write_draft(self._filepath, data)
            self._record()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}


class TableBucketsDataset(_BucketsRecord, AbstractDataset[BucketDraft, TableBuckets]):
    """An embedding table in hash buckets.

    Args:
        filepath: as of ``BucketsDataset``.
        source: name of the source.
        metadata: for plugins.
    """

    def __init__(self, *, filepath: str, source: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = filepath
        self._source = source
        self.metadata = metadata

    def load(self) -> TableBuckets:
        """Open the table."""
        with kedro_errors():
            return TableBuckets(Buckets(self._filepath))

    def save(self, data: BucketDraft) -> None:
        """Deal out the raw embeddings, or what is missing of them."""
        with kedro_errors():
            write_table_buckets(self._filepath, self._source, data)
            self._record()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "source": self._source}
