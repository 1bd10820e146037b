"""Train rows streamed from partitions, for data that does not fit in memory: window after window, the next one read meanwhile."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray

from price_fusion.data.ids import Ids
from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.errors import DataError
from price_fusion.models.features import Features, SourceFeatures, source_features
from price_fusion.parameters import Source
from price_fusion.storage.partitions.parts import AGAIN, Partitions
from price_fusion.training.loader.feed import Shares, Stretch
from price_fusion.training.ranks import Ranks

Deal = tuple[tuple[int, ...], ...]
"""The partitions of a window, by the rank that reads them."""
Space = dict[str, NDArray[Any]]
"""Memory that windows take turns in: fresh memory would have to be cleared by the system first."""


class PartitionRows:
    """Rows of several partitions, copied into one matrix a source.

    Args:
        tables: one per source.
        sources: what the model expects of each.
        rows: how many there will be.
        space: memory to use again, grown where it is too small; None: new memory.
        vectors: whether vectors are wanted; without them only structural columns are read.
    """

    def __init__(
        self,
        tables: Mapping[str, TablePartitions],
        sources: Mapping[str, Source],
        rows: int,
        space: Space | None = None,
        *,
        vectors: bool = True,
        unit: float = 1.0,
    ) -> None:
        self._tables = tables
        self._sources = sources
        self._filled = 0
        self._unit = unit
        self._ids: list[Ids] = []
        self.prices = np.empty(rows, np.float32)
        space = {} if space is None else space
        self._vectors, self._structural, self._rows = {}, {}, {}
        for name, table in tables.items():
            declared = sources[name]
            width = declared.embedding_width if vectors else 0
            self._vectors[name] = _matrix(space, f"vectors {name}", rows, width, table.dtype)
            self._structural[name] = _matrix(space, f"columns {name}", rows, declared.structural_columns, "float32")
            self._rows[name] = np.full(rows, -1, np.int64)

    def add(self, partition: int, frame: pd.DataFrame) -> None:
        """Append rows of the sample table, all of one partition."""
        place = slice(self._filled, self._filled + len(frame))
        self._filled = place.stop
        self.prices[place] = frame["price"].to_numpy(np.float64) / self._unit
        ids = frame["sample_id"].to_numpy()
        self._ids.append(ids)
        views = {name: table.partition(partition) for name, table in self._tables.items()}
        for name, view in views.items():
            rows = np.array(frame[f"row_{name}"], dtype=np.int64)  # torch wants an array that it may write to
            self._rows[name][place] = np.where(rows >= 0, np.arange(place.start, place.stop), -1)
            wanted = self._vectors[name].shape[1] or self._structural[name].shape[1]
            if not wanted or not (rows >= 0).any():
                self._vectors[name][place] = 0
                self._structural[name][place] = 0
                continue
            found = source_features(name, view, self._sources[name], ids, rows)
            for all_rows, there in ((self._vectors[name], found.vectors), (self._structural[name], found.structural)):
                if all_rows.shape[1]:  # -1 is clipped to a row that nobody looks at
                    assert isinstance(there, torch.Tensor)  # noqa: S101 - a partition is one matrix
                    np.take(there.numpy(), rows, axis=0, out=all_rows[place], mode="clip")

    @property
    def ids(self) -> Ids:
        """(N,) of the products."""
        return np.concatenate(self._ids) if self._ids else np.empty(0, np.int64)  # type: ignore[return-value]

    def features(self) -> Features:
        """Of the rows, in the order in which they came; views of the matrices."""
        return Features(
            {
                name: SourceFeatures(
                    torch.from_numpy(self._vectors[name]),
                    torch.from_numpy(self._structural[name]),
                    torch.from_numpy(self._rows[name]),
                )
                for name in self._tables
            }
        )


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
            rows = sample_rows(self.samples, partition, self.sources, split=self._split)
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


def rows_of_split(samples: Partitions, partition: int, split: str | None) -> int:
    """Rows of a split in a partition of the sample table, by its manifest; None: all rows."""
    return samples.rows_in(partition) if split is None else int(samples.summaries[partition]["splits"].get(split, 0))


class _Wanted(NamedTuple):
    column: str
    value: object


def sample_rows(
    samples: Partitions, partition: int, sources: Mapping[str, Source], *, split: str | None, half: int | None = None
) -> pd.DataFrame:
    """Rows of a partition of the sample table: ``sample_id``, ``price`` and ``row_<source>``.

    Args:
        samples: the sample table.
        partition: its number.
        sources: whose rows are wanted.
        split: of the rows; None: all.
        half: of the rows; None: both.
    """
    wanted = [_Wanted(column, value) for column, value in (("split", split), ("half", half)) if value is not None]
    columns = ["sample_id", "price", *(f"row_{name}" for name in sources)]
    parts = [
        _where(part, wanted).select(columns)
        for part in samples.read(partition, [*columns, *(one.column for one in wanted)])
    ]
    if not parts:
        return pd.DataFrame({name: np.empty(0, np.int64) for name in columns})
    frame: pd.DataFrame = pa.concat_tables(parts).to_pandas()
    return frame


def _where(table: pa.Table, wanted: Sequence[_Wanted]) -> pa.Table:
    import pyarrow.compute as pc

    for column, value in wanted:
        table = table.filter(pc.equal(table[column], pa.scalar(value, table[column].type)))
    return table


def _matrix(space: Space, name: str, rows: int, width: int, dtype: str) -> NDArray[Any]:
    """The first rows of a matrix in this space, which is made or grown where it is too small."""
    if name not in space or len(space[name]) < rows:
        space[name] = np.zeros((rows, width), dtype)
    return space[name][:rows]
