"""Rows of partitions in memory: those of a role in the sample table, and their features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray

from price_fusion.data.ids import Ids, ids_of
from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.models.features import Features, SourceFeatures, source_features
from price_fusion.parameters import Source
from price_fusion.storage.partitions.parts import Partitions

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
        ids = ids_of(frame["sample_id"])
        self._ids.append(ids)
        views = {name: table.partition(partition) for name, table in self._tables.items()}
        for name, view in views.items():
            rows = view.rows_of(ids)
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


def rows_of_split(samples: Partitions, partition: int, split: str | None) -> int:
    """Rows of a split in a partition of the sample table, by its manifest; None: all rows."""
    return samples.rows_in(partition) if split is None else int(samples.summaries[partition]["splits"].get(split, 0))


def sample_rows(samples: Partitions, partition: int, *, split: str | None, half: int | None = None) -> pd.DataFrame:
    """Rows of a partition of the sample table: ``sample_id`` and ``price``.

    Args:
        samples: the sample table.
        partition: its number.
        split: of the rows; None: all.
        half: of the rows; None: both.
    """
    wanted = {column: value for column, value in (("split", split), ("half", half)) if value is not None}
    columns = ["sample_id", "price"]
    parts = [_where(part, wanted).select(columns) for part in samples.read(partition, [*columns, *wanted])]
    if not parts:
        return pd.DataFrame({name: np.empty(0, np.int64) for name in columns})
    frame: pd.DataFrame = pa.concat_tables(parts).to_pandas()
    return frame


def _where(table: pa.Table, wanted: Mapping[str, object]) -> pa.Table:
    import pyarrow.compute as pc

    for column, value in wanted.items():
        table = table.filter(pc.equal(table[column], pa.scalar(value, table[column].type)))
    return table


def _matrix(space: Space, name: str, rows: int, width: int, dtype: str) -> NDArray[Any]:
    """The first rows of a matrix in this space, which is made or grown where it is too small."""
    if name not in space or len(space[name]) < rows:
        space[name] = np.zeros((rows, width), dtype)
    return space[name][:rows]
