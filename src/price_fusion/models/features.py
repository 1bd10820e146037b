"""Features: the tables of a model's sources, on a device, gathered by index.

On the CPU the matrices are the memory-mapped files themselves; a batch gathers just its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from price_fusion.data.columns import translated
from price_fusion.data.ids import Ids, ids_of
from price_fusion.data.roles import TrainedModel, pipeline_of
from price_fusion.data.table import TableView
from price_fusion.errors import DataError
from price_fusion.models.layers.branches import SourceBatch
from price_fusion.parameters import ColumnSourceParameters, Source


class Shards:
    """Matrices that are one, end to end: indexed by rows like a tensor of shape (R, D), of a type that holds all of theirs."""

    def __init__(self, parts: Sequence[Tensor]) -> None:
        self.parts = parts
        self.shape = (sum(len(part) for part in parts), parts[0].shape[1])
        self.dtype = reduce(torch.promote_types, (part.dtype for part in parts))
        self._starts = torch.tensor([0, *(len(part) for part in parts)]).cumsum(0)

    def __getitem__(self, index: Tensor) -> Tensor:
        part_of = torch.searchsorted(self._starts, index, right=True) - 1
        gathered = torch.empty((len(index), self.shape[1]), dtype=self.dtype)
        for number, part in enumerate(self.parts):
            chosen = torch.nonzero(part_of == number).squeeze(1)
            gathered[chosen] = part[index[chosen] - self._starts[number]]
        return gathered


@dataclass(frozen=True)
class SourceFeatures:
    """One source: its matrix and, for each product, the row in it."""

    vectors: Tensor | Shards
    """(R, D) in the stored type."""
    structural: Tensor
    """(R, K) float32."""
    rows: Tensor
    """(N,) int64; -1 where the source lacks the product."""

    def batch(self, index: Tensor, device: torch.device) -> SourceBatch:
        """Values of the products at ``index``, (B,), on a device."""
        rows = self.rows[index]
        known = rows.clamp_min(0)
        return SourceBatch(
            self.vectors[known].to(device, non_blocking=True),
            self.structural[known].to(device, non_blocking=True),
            (rows >= 0).to(device, non_blocking=True),
        )

    def structural_of(self, index: Tensor) -> Tensor:
        """Structural values of those products at ``index`` that the source knows, (M, K)."""
        rows = self.rows[index]
        return self.structural[rows[rows >= 0]]

    @property
    def bytes_per_product(self) -> int:
        """Memory that one product's values take."""
        return int(self.vectors.shape[1] * self.vectors.dtype.itemsize + self.structural.shape[1] * 4)


@dataclass(frozen=True)
class Features:
    """All sources of a model for N products."""

    sources: Mapping[str, SourceFeatures]

    def __len__(self) -> int:
        return len(next(iter(self.sources.values())).rows)

    def structural(self, index: Tensor) -> dict[str, Tensor]:
        """Structural values of those products at ``index`` that each source knows, (M, K) per source."""
        return {name: source.structural_of(index) for name, source in self.sources.items()}

    @property
    def device(self) -> torch.device:
        """Where the matrices are."""
        return next(iter(self.sources.values())).rows.device

    def batch(self, index: Tensor, device: torch.device | None = None) -> dict[str, SourceBatch]:
        """Values of the products at ``index``, (B,), on a device, by default that of the matrices."""
        return {name: source.batch(index, device or self.device) for name, source in self.sources.items()}

    def to(self, device: torch.device) -> Features:
        """The same on a device, matrices whole."""
        return Features(
            {
                name: SourceFeatures(
                    torch.cat([part.to(device) for part in source.vectors.parts])
                    if isinstance(source.vectors, Shards)
                    else source.vectors.to(device),
                    source.structural.to(device),
                    source.rows.to(device),
                )
                for name, source in self.sources.items()
            }
        )

    @property
    def bytes_per_product(self) -> int:
        """Memory that one product's values take in all sources."""
        return sum(source.bytes_per_product for source in self.sources.values())

    @property
    def bytes(self) -> int:
        """Memory that all matrices take."""
        return sum(source.bytes_per_product * source.vectors.shape[0] for source in self.sources.values())

    def known(self) -> Tensor:
        """(N,) bool: whether any source knows the product."""
        return torch.stack([source.rows >= 0 for source in self.sources.values()]).any(dim=0)


def features_from_tables(
    samples: pd.DataFrame,
    tables: Mapping[str, TableView],
    sources: Mapping[str, Source],
    model: TrainedModel | None = None,
) -> Features:
    """Features of the products of a sample table, left in the memory-mapped files.

    Args:
        samples: sample table; products are found in each table by their id.
        tables: one per source.
        sources: what the model expects of each.
        model: whose they are, for the message.

    Raises:
        DataError: if a table's widths are not the expected ones.
    """
    ids = ids_of(samples["sample_id"])
    for name, source in sources.items():
        check_widths(name, tables[name], source, model)
    return Features({name: source_features(name, tables[name], source, ids) for name, source in sources.items()})


def source_features(
    name: str, table: TableView, source: Source, ids: Ids, rows: NDArray[np.int64] | None = None
) -> SourceFeatures:
    """One source for products with these ids (N,), left in the memory-mapped files.

    Args:
        name: of the source.
        table: its table.
        source: what the model expects of it.
        ids: of the products.
        rows: (N,) of the products in the table, -1 where it lacks one; None: found by id.

    Raises:
        DataError: if the table's widths are not the expected ones.
    """
    check_widths(name, table, source)
    vectors = [torch.from_numpy(_at_least_a_row(shard)) for shard in table.vectors]
    return SourceFeatures(
        vectors=vectors[0] if len(vectors) == 1 else Shards(vectors),
        structural=torch.from_numpy(_at_least_a_row(_structural(table, source))),
        rows=torch.from_numpy(table.rows_of(ids) if rows is None else rows),
    )


def _at_least_a_row(matrix: NDArray[Any]) -> NDArray[Any]:
    """A matrix that row 0 can be taken of, in the place of products that a source lacks: a partition may know none."""
    return matrix if len(matrix) else np.zeros((1, matrix.shape[1]), matrix.dtype)


def features_from_arrays(
    arrays: Mapping[str, NDArray[np.floating]],
    sources: Mapping[str, Source],
    dtypes: Mapping[str, str],
    missing: Mapping[str, NDArray[np.bool_]] | None = None,
) -> Features:
    """Features of products whose embeddings are given, row for row; an absent source knows none of them.

    Args:
        arrays: (N, width) per source, structural columns last, all of the same N.
        sources: what the model expects.
        dtypes: type in which each source's embeddings were stored for training; values are rounded to it, but for rows
            that go beyond its range.
        missing: (N,) per source, products that it does not know; none by default.
    """
    missing = missing or {}
    count = len(next(iter(arrays.values())))
    features = {}
    for name, source in sources.items():
        array = arrays.get(name)
        if array is None:
            rows, array = np.full(count, -1), np.zeros((1, source.width), dtype=np.float32)
        else:
            rows = np.arange(count)
            if name in missing:
                rows = np.where(missing[name], -1, rows)
        embedding = _rounded(array[:, : source.embedding_width], dtypes[name])
        structural = np.ascontiguousarray(array[:, source.embedding_width :], dtype=np.float32)
        features[name] = SourceFeatures(_tensor(embedding), _tensor(structural), _tensor(rows.astype(np.int64)))
    return Features(features)


class _Writable:
    """The memory of a read-only array, such as a mapped file, as if it were writable.

    torch has no read-only tensors and warns of such memory. Features are never written to.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array  # whoever holds the memory has to hold this
        interface = array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def _tensor(array: NDArray[Any]) -> Tensor:
    """A tensor on the memory of a contiguous array; numpy calls one of few rows contiguous whichever way it runs."""
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    return torch.from_numpy(array if array.flags.writeable else np.asarray(_Writable(array)))


def _rounded(embedding: NDArray[np.floating], dtype: str) -> NDArray[np.floating]:
    """Values rounded to a stored type; a row that goes beyond its range keeps float32, whatever the other rows hold."""
    if embedding.dtype == dtype:
        return np.ascontiguousarray(embedding)
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(embedding, dtype=dtype)
    fits = np.isfinite(stored).all(axis=1, keepdims=True)
    return stored if fits.all() else np.where(fits, stored, embedding.astype(np.float32))


def check_widths(name: str, table: TableView, source: Source, model: TrainedModel | None = None) -> None:
    """Refuse a table whose widths are not those that a model was trained with; it is named where it is known."""
    if isinstance(source, ColumnSourceParameters):
        _check_columns(name, table, source, model)
        return
    found, expected = (table.width, table.structural_columns), (source.embedding_width, source.structural_columns)
    if found != expected:
        raise DataError(
            f"{table.folder}: table of source {name!r} has {found[0]} embedding and {found[1]} structural columns, "
            f"expected {expected[0]} and {expected[1]}. {_advice(model)}"
        )


def _advice(model: TrainedModel | None) -> str:
    """What to do where a source is another than it was: the pipeline that trains makes its table anew, too."""
    who, command = "the model", ""
    if model is not None:
        who, command = model.name, f" (kedro run --pipelines {pipeline_of(model, 'train')})"
    return f"The source changed since {who} was trained: train it again{command}, or undo the change and run 'ingest' again."


def _check_columns(name: str, table: TableView, source: ColumnSourceParameters, model: TrainedModel | None) -> None:
    stored = table.declaration
    found = (*stored.numeric, *stored.categorical) if isinstance(stored, ColumnSourceParameters) else ()
    expected = (*source.numeric, *source.categorical)
    if found != expected:
        raise DataError(
            f"{table.folder}: table of source {name!r} has the columns {', '.join(found) or 'none'}, expected "
            f"{', '.join(expected)}. {_advice(model)}"
        )


def _structural(table: TableView, source: Source) -> NDArray[np.float32]:
    """A table's structural columns, codes of categories in the vocabulary that the model knows."""
    stored = table.declaration
    if isinstance(stored, ColumnSourceParameters) and isinstance(source, ColumnSourceParameters):
        return translated(table.structural, stored, source)
    return table.structural
