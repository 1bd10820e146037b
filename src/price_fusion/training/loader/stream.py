"""Train rows streamed from partitions, for data that does not fit in memory: window after window, the next one read meanwhile."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.errors import DataError
from price_fusion.parameters import Source
from price_fusion.storage.partitions.parts import AGAIN, Partitions
from price_fusion.training.loader.partition_rows import PartitionRows, Space, rows_of_split, sample_rows
from price_fusion.training.loader.train_feed import Shares, Stretch
from price_fusion.training.ranks import Ranks

Deal = tuple[tuple[int, ...], ...]
"""The partitions of a window, by the rank that reads them."""


class PartitionFeed:
    """Train products in random order, a window of partitions at a time; see ``Feed``.

    An epoch shuffles the partitions, and the products within each window. Each rank reads its own partitions of a window, and gives
    each batch as many products as its share of the window: all run out of them together. All of it follows from the
    shuffler and from the manifest, so that ranks agree on it without a word.

    Args:
        samples: the sample table; column ``split``, and ``splits`` in the summary of each partition.
        tables: one per source, of as many partitions.
        sources: what the model expects of each.
        device: where the model is.
        window_bytes: what the features of a window may take in each process. Two windows are in memory at a time, and the
            partition that is being read.
        split: whose rows; None: all labelled rows.
        epoch_products: how many of them an epoch takes, at random; None: all.
        ranks: who trains.
        unit: in which prices are given.
    """

    def __init__(
        self,
        samples: Partitions,
        tables: Mapping[str, TablePartitions],
        sources: Mapping[str, Source],
        device: torch.device,
        *,
        window_bytes: int,
        split: str | None = "train",
        epoch_products: int | None = None,
        ranks: Ranks | None = None,
        unit: float = 1.0,
    ) -> None:
        self._unit = unit
        self._split = split
        self.samples = samples
        self.tables = tables
        self.sources = sources
        self.device = device
        self.ranks = ranks or Ranks()
        self._counts = [rows_of_split(samples, partition, split) for partition in range(samples.count)]
        self._filled = [partition for partition, count in enumerate(self._counts) if count]
        self.window: int | None = max(1, window_bytes // max(1, sum(table.bytes_per_row for table in tables.values())))
        self.rows = sum(self._counts)
        self.products = min(epoch_products or self.rows, self.rows)

    def steps(self, batch_size: int) -> int:
        """Batches of an epoch; a few more or less, as partitions are of different sizes."""
        return sum(-(-sum(rows) // batch_size) for _, rows in self._taken(self._filled))

    def epoch(self, shuffler: torch.Generator, done: int = 0) -> Iterator[Stretch]:
        """The stretches of one epoch. The features of one are gone once the next is asked for.

        Args:
            shuffler: a generator on the CPU, the same for all ranks.
            done: products of this epoch, of all ranks, that were trained on before an interruption.
        """
        order = torch.randperm(len(self._filled), generator=shuffler).tolist()
        seed = int(torch.randint(2**62, (), generator=shuffler))
        left: list[tuple[int, Deal, Shares]] = []
        for number, (deal, rows) in enumerate(self._taken([self._filled[place] for place in order])):
            if done < sum(rows):
                left.append((number, deal, Shares(rows, self.ranks.rank, done)))
            done = max(0, done - sum(rows))
        spaces: tuple[Space, Space] = ({}, {})
        with ThreadPoolExecutor(1) as reader:
            pending = None
            for place, (_, deal, _) in enumerate(left):
                reading = pending or reader.submit(self._read, deal, spaces[0])
                read, pending = reading.result(), None
                if place + 1 < len(left):
                    pending = reader.submit(self._read, left[place + 1][1], spaces[(place + 1) % 2])
                yield self._stretch(read, seed, left[place][0], left[place][2])
                del read, reading

    def _stretch(self, read: PartitionRows, seed: int, number: int, shares: Shares) -> Stretch:
        """The window of a number, from what this rank has read of it."""
        order = np.random.default_rng([seed, number, self.ranks.rank]).permutation(len(read.prices))
        features = read.features()
        return Stretch(
            features if self.device.type == "cpu" else features.to(self.device),
            torch.from_numpy(order).to(self.device),
            torch.from_numpy(read.prices).to(self.device),
            ids=read.ids,
            shares=shares,
        )

    def _read(self, deal: Deal, space: Space) -> PartitionRows:
        own = deal[self.ranks.rank]
        read = PartitionRows(
            self.tables, self.sources, sum(self._counts[partition] for partition in own), space, unit=self._unit
        )
        for partition in own:
            rows = sample_rows(self.samples, partition, split=self._split)
            if len(rows) != self._counts[partition]:
                raise DataError(
                    f"{self.samples.url}: partition {partition} has {len(rows):,} {self._split or 'labelled'} rows, its manifest says "
                    f"{self._counts[partition]:,}. {AGAIN}"
                )
            read.add(partition, rows)
        return read

    def _rows_by_rank(self, deal: Deal) -> tuple[int, ...]:
        return tuple(sum(self._counts[partition] for partition in own) for own in deal)

    def _taken(self, order: Sequence[int]) -> Iterator[tuple[Deal, tuple[int, ...]]]:
        """The windows of an epoch with the rows that are taken of each, by rank: fewer of the last where an epoch is not all."""
        left = self.products
        for deal in self._windows(order):
            rows = self._rows_by_rank(deal)
            if (total := sum(rows)) > left:
                rows = tuple(count * left // total for count in rows)
            if left:
                yield deal, rows
            left -= min(total, left)

    def _windows(self, order: Sequence[int]) -> list[Deal]:
        """Partitions in this order as windows, each partition dealt to the rank with the fewest rows so far."""
        windows: list[Deal] = []
        hands: list[list[int]] = [[] for _ in range(self.ranks.size)]
        for partition in order:
            rows = self._rows_by_rank(tuple(map(tuple, hands)))
            poorest = int(np.argmin(rows))
            if rows[poorest] and rows[poorest] + self._counts[partition] > (self.window or math.inf):
                windows.append(tuple(map(tuple, hands)))
                hands, poorest = [[] for _ in range(self.ranks.size)], 0
            hands[poorest].append(partition)
        return [*windows, tuple(map(tuple, hands))] if order else windows
