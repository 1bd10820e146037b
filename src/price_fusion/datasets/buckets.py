"""Tables in hash buckets, as Kedro datasets: in a folder, or in an object store."""

from __future__ import annotations

from typing import Any

from kedro.io import AbstractDataset

from price_fusion.datasets.errors import kedro_errors
from price_fusion.fusion.buckets.drafts import BucketDraft, write_draft
from price_fusion.fusion.buckets.parts import Buckets, is_finished
from price_fusion.fusion.buckets.scatter import write_table_buckets
from price_fusion.fusion.buckets.table import TableBuckets


class BucketsDataset(AbstractDataset[BucketDraft, Buckets]):
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

    def _exists(self) -> bool:
        with kedro_errors():
            return is_finished(self._filepath)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}


class TableBucketsDataset(AbstractDataset[BucketDraft, TableBuckets]):
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

    def _exists(self) -> bool:
        with kedro_errors():
            return is_finished(self._filepath)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "source": self._source}
