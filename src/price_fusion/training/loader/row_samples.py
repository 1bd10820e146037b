"""Random samples of the rows of a role, over all partitions, in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.parameters import Source
from price_fusion.storage.partitions.parts import Partitions
from price_fusion.training.loader.partition_rows import PartitionRows, rows_of_split, sample_rows


def drawn_rows(
    samples: Partitions,
    tables: Mapping[str, TablePartitions],
    sources: Mapping[str, Source],
    *,
    split: str | None,
    half: int | None,
    most: int,
    seed: int,
    vectors: bool = True,
    unit: float = 1.0,
) -> PartitionRows:
    """A random sample of the rows of a role, over all partitions, in memory; all of them where they are few.

    Args:
        samples: the sample table, labelled and split.
        tables: one per source.
        sources: what the model expects of each.
        split: of the rows; None: all labelled rows.
        half: of the rows; None: both.
        most: how many rows.
        seed: of the sample.
        vectors: whether vectors are wanted, or structural columns alone.
        unit: in which prices are given.

    Returns:
        the rows, in the order of the partitions.
    """
    chosen = _chosen_rows(samples, split, half, most, seed)
    used = {name: tables[name] for name in sources}
    rows = PartitionRows(used, sources, sum(len(places) for _, places in chosen), vectors=vectors, unit=unit)
    for partition, places in chosen:
        rows.add(partition, sample_rows(samples, partition, split=split, half=half).iloc[places])
    return rows


def _chosen_rows(
    samples: Partitions, split: str | None, half: int | None, most: int, seed: int
) -> list[tuple[int, NDArray[np.int64]]]:
    """Places of the chosen rows among those of the role, by partition: each row draws a number, the smallest are chosen."""
    drawn, where = np.empty(0), np.empty((0, 2), np.int64)
    for partition, count in _counts(samples, split, half) if most else ():
        drawn = np.concatenate([drawn, np.random.default_rng([seed, partition]).random(count)])
        where = np.concatenate([where, np.stack([np.full(count, partition), np.arange(count)], axis=1)])
        if len(drawn) > most:
            kept = np.sort(np.argpartition(drawn, most)[:most])
            drawn, where = drawn[kept], where[kept]
    return [(int(partition), where[where[:, 0] == partition, 1]) for partition in np.unique(where[:, 0])]


def _counts(samples: Partitions, split: str | None, half: int | None) -> Iterator[tuple[int, int]]:
    """Rows of a role in each partition that has some of the split."""
    for partition in range(samples.count):
        count = rows_of_split(samples, partition, split)
        if count and half is not None:
            count = len(sample_rows(samples, partition, split=split, half=half))
        if count:
            yield partition, count
