"""Embedding tables in memory as tables in partitions, and back. Values stay what they are, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from price_fusion.compute.progress import tracked
from price_fusion.data.order import partitions_of
from price_fusion.data.partitions.table_partitions import TablePartitions, rows_as_arrow, table_metadata
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import EmbeddingTable, TableDraft
from price_fusion.parameters import ComputeParameters
from price_fusion.storage.files import storage_errors
from price_fusion.storage.partitions.drafts import PartitionDraft
from price_fusion.storage.partitions.parts import PartitionPlan, Summary, Tables
from price_fusion.storage.partitions.recipes import recipe


def draft_from_table(table: EmbeddingTable, *, compute: ComputeParameters) -> PartitionDraft:
    """A table, to be dealt out to partitions, a shard at a time."""
    partitions = compute.partition_count
    described = {"table": table.fingerprint, "partitions": partitions}
    plan = PartitionPlan(
        _TableDeal(table, partitions),
        parts=len(table.vectors),
        partitions=partitions,
        recipe=recipe("embeddings of a table 1", described),
        metadata=table_metadata(table.source, table.declaration, table.dtype, table.origin),
        here=True,  # it is a folder of this machine
    )
    return PartitionDraft(plan, compute)


def draft_to_table(tables: TablePartitions, spill: Path, *, rows_per_shard: int) -> TableDraft:
    """A table in partitions, to be written as one in memory; rows come partition by partition.

    Args:
        tables: what to convert.
        spill: folder with room for all values in float32; what is put there goes with the draft.
        rows_per_shard: of the table.
    """
    declaration, rows = tables.declaration, tables.partitions.rows
    with storage_errors(spill / "vectors"):
        spill.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=spill) as file:  # the mapping outlives the file's name
            matrix = np.memmap(file, np.float32, "w+", shape=(rows, declaration.width))
    ids, start = [], 0
    for number in tracked(range(tables.partitions.count), f"reading {tables.partitions.url}", "partitions"):
        partition = tables.partition(number)
        block = matrix[start : start + partition.rows]
        block[:, : partition.width], block[:, partition.width :] = partition.vectors[0], partition.structural
        ids.append(partition.ids)
        start += partition.rows
    raw = RawEmbeddings(np.concatenate([part for part in ids if len(part)]), matrix, tables.origin)
    return TableDraft(raw, declaration, tables.dtype, rows_per_shard)


@dataclass(frozen=True)
class _TableDeal:
    """Deals out one shard: the task of a part."""

    table: EmbeddingTable
    partitions: int

    def __call__(self, part: int) -> tuple[Tables, Summary]:
        vectors = self.table.vectors[part]
        start = sum(len(shard) for shard in self.table.vectors[:part])
        ids = self.table.ids[start : start + len(vectors)]
        partition = partitions_of(ids, self.partitions)
        rows = np.split(
            np.argsort(partition, kind="stable"), np.cumsum(np.bincount(partition, minlength=self.partitions))[:-1]
        )
        return self._dealt(start, rows, part), {"rows": len(ids)}

    def _dealt(self, start: int, rows: list[NDArray[np.int64]], part: int) -> Iterator[tuple[int, pa.Table]]:
        for partition, chosen in enumerate(rows):
            values = self.table.vectors[part][chosen], self.table.structural[start + chosen]
            yield partition, rows_as_arrow(self.table.ids[start + chosen], *values)
