"""Embedding tables of the in-memory engine as tables in buckets, and back. Values stay what they are, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from price_fusion.compute.progress import tracked
from price_fusion.data.buckets.table_buckets import TableBuckets, rows_as_arrow, table_metadata
from price_fusion.data.order import partitions_of
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import EmbeddingTable, TableDraft
from price_fusion.parameters import EngineParameters
from price_fusion.storage.buckets.drafts import BucketDraft
from price_fusion.storage.buckets.parts import BucketPlan, Summary, Tables
from price_fusion.storage.buckets.recipes import recipe
from price_fusion.storage.files import storage_errors


def draft_from_table(table: EmbeddingTable, *, engine: EngineParameters) -> BucketDraft:
    """A table, to be dealt out to buckets, a shard at a time."""
    buckets = engine.bucket_count
    described = {"table": table.fingerprint, "buckets": buckets}
    plan = BucketPlan(
        _TableDeal(table, buckets),
        parts=len(table.vectors),
        buckets=buckets,
        recipe=recipe("embeddings of a table 1", described),
        metadata=table_metadata(table.source, table.declaration, table.dtype, table.origin),
        here=True,  # it is a folder of this machine
    )
    return BucketDraft(plan, engine)


def draft_to_table(tables: TableBuckets, spill: Path, *, rows_per_shard: int) -> TableDraft:
    """A table in buckets, to be written as one of the in-memory engine; rows come bucket by bucket.

    Args:
        tables: what to convert.
        spill: folder with room for all values in float32; what is put there goes with the draft.
        rows_per_shard: of the table.
    """
    declaration, rows = tables.declaration, tables.buckets.rows
    with storage_errors(spill / "vectors"):
        spill.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=spill) as file:  # the mapping outlives the file's name
            matrix = np.memmap(file, np.float32, "w+", shape=(rows, declaration.width))
    ids, start = [], 0
    for number in tracked(range(tables.buckets.count), f"reading {tables.buckets.url}", "buckets"):
        bucket = tables.bucket(number)
        block = matrix[start : start + bucket.rows]
        block[:, : bucket.width], block[:, bucket.width :] = bucket.vectors[0], bucket.structural
        ids.append(bucket.ids)
        start += bucket.rows
    raw = RawEmbeddings(np.concatenate([part for part in ids if len(part)]), matrix, tables.origin)
    return TableDraft(raw, declaration, tables.dtype, rows_per_shard)


@dataclass(frozen=True)
class _TableDeal:
    """Deals out one shard: the task of a part."""

    table: EmbeddingTable
    buckets: int

    def __call__(self, part: int) -> tuple[Tables, Summary]:
        vectors = self.table.vectors[part]
        start = sum(len(shard) for shard in self.table.vectors[:part])
        ids = self.table.ids[start : start + len(vectors)]
        bucket = partitions_of(ids, self.buckets)
        rows = np.split(np.argsort(bucket, kind="stable"), np.cumsum(np.bincount(bucket, minlength=self.buckets))[:-1])
        return self._dealt(start, rows, part), {"rows": len(ids)}

    def _dealt(self, start: int, rows: list[NDArray[np.int64]], part: int) -> Iterator[tuple[int, pa.Table]]:
        for bucket, chosen in enumerate(rows):
            values = self.table.vectors[part][chosen], self.table.structural[start + chosen]
            yield bucket, rows_as_arrow(self.table.ids[start + chosen], *values)
