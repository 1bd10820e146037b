"""What alignment and models need of a table, wherever its rows are: one of the two classes that have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from price_fusion.data.partitions.table_partitions import PartitionTable
    from price_fusion.data.table import EmbeddingTable

TableView: TypeAlias = "EmbeddingTable | PartitionTable"
"""N rows of one source: a whole table, or one partition of many. Both have ``ids`` (N,), ``vectors``, matrices of D columns that
hold the N rows end to end, ``structural`` (N, K), ``rows_of`` ids, and what says whose and what they are."""
