"""The design: a matrix of plain numbers made of a model's sources, with statistics of the rows that are fitted on.

Shapes: ``M`` rows asked for, ``K`` numbers of a source, ``D`` columns of the matrix. Per source stand side by side the
embedding in unit length, the numbers with zero mean and unit spread, and, of a column source, a flag for each number
that is missing and one-hot categories. What a product lacks is 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from price_fusion.errors import AlignmentError, DataError
from price_fusion.fusion.engine.features import Features, SourceFeatures
from price_fusion.fusion.models.branches import SourceBatch
from price_fusion.parameters import ColumnSourceParameters, Source
from price_fusion.parameters.base import Parameters

BLOCK_ROWS = 8_192
"""Rows brought to float32 or multiplied at a time: about 130 MB at the reference's widths."""
FARTHEST = 10.0
"""Spreads from the mean. A column that goes farther among the fit rows is taken as signed logs; beyond it values count as
it: a linear model would answer an absurd quantity with an absurd price."""
MOST_CATEGORIES = 256
"""One-hot columns of a categorical column: the most frequent categories have one each, the others count as unknown."""

Matrix = NDArray[np.float32]
Numbers = NDArray[np.float64]
Rows = NDArray[np.int64]


class SourceDesign(Parameters):
    """What one source contributes."""

    source: Source
    """As it was declared: codes of categories are places in its vocabulary."""
    logs: tuple[bool, ...]
    """(K,) whether a number is taken as ``sign(v) log(1 + |v|)``."""
    mean: tuple[float, ...]
    """(K,) of the fit rows, after the logarithm."""
    spread: tuple[float, ...]
    """(K,) standard deviation of the fit rows, after the logarithm; 1 where a column is constant or empty."""
    categories: tuple[tuple[int, ...], ...]
    """Codes of each categorical column that have a column of their own, ascending; all others share that of code 0."""

    @property
    def width(self) -> int:
        """Columns of the matrix."""
        numbers = len(self.mean) * (2 if self._flagged else 1)
        return self.source.embedding_width + numbers + sum(1 + len(codes) for codes in self.categories)

    @property
    def _flagged(self) -> bool:
        return isinstance(self.source, ColumnSourceParameters)

    def fill(self, columns: Matrix, batch: SourceBatch) -> None:
        """Write the values of a batch into columns (M, width) of zeros."""
        width, count = self.source.embedding_width, len(self.mean)
        structural = batch.structural.numpy().astype(np.float64)
        parts: list[NDArray[Any]] = [self._scaled(structural[:, :count])]
        if self._flagged:
            parts.append(np.isnan(structural[:, :count]))
        parts += [_one_hot(code, known) for code, known in zip(structural[:, count:].T, self.categories, strict=True)]
        columns[:, :width] = _unit_length(batch.vectors.float().numpy())
        columns[:, width:] = np.concatenate(parts, axis=1)
        columns[~batch.present.numpy()] = 0

    def _scaled(self, numbers: Numbers) -> Numbers:
        """Standardised numbers, (M, K); missing ones are 0, as the mean is."""
        scaled = (np.where(self.logs, _signed_logs(numbers), numbers) - self.mean) / np.asarray(self.spread)
        kept: Numbers = np.clip(np.nan_to_num(scaled, nan=0.0), -FARTHEST, FARTHEST)
        return kept


class Design(Parameters):
    """Which columns come from which source, and how numbers are scaled."""

    sources: dict[str, SourceDesign]

    @property
    def width(self) -> int:
        """D."""
        return sum(source.width for source in self.sources.values())

    @property
    def declarations(self) -> dict[str, Source]:
        """The sources as declared: what ``features_from_tables`` asks for."""
        return {name: design.source for name, design in self.sources.items()}

    @property
    def embedded(self) -> int:
        """Sources that have an embedding."""
        return sum(design.source.embedding_width > 0 for design in self.sources.values())

    @property
    def is_embedding(self) -> NDArray[np.bool_]:
        """(D,) whether a column of the matrix is of an embedding."""
        parts = [np.arange(design.width) < design.source.embedding_width for design in self.sources.values()]
        return np.concatenate(parts)

    def matrix(self, features: Features, rows: Rows) -> Matrix:
        """The matrix of products, (M, D).

        Args:
            features: of the sources that the design was fitted on, and perhaps others.
            rows: (M,) places among the features' products, in any order.

        Raises:
            AlignmentError: if the features lack a source.
            DataError: if a source's widths are not those that the design was fitted on.
        """
        self._check(features)
        matrix = np.zeros((len(rows), self.width), dtype=np.float32)
        for block in blocks(len(rows)):
            index = torch.from_numpy(np.ascontiguousarray(rows[block], dtype=np.int64)).to(features.device)
            first = 0
            for name, design in self.sources.items():
                batch = features.sources[name].batch(index, torch.device("cpu"))
                design.fill(matrix[block, first : first + design.width], batch)
                first += design.width
        return matrix

    def _check(self, features: Features) -> None:
        for name, design in self.sources.items():
            if name not in features.sources:
                raise AlignmentError(
                    f"the features lack source {name!r}, which the estimator was fitted on; they have "
                    f"{', '.join(features.sources)}. Give it, or fit again."
                )
            found = features.sources[name]
            widths = (found.vectors.shape[1], found.structural.shape[1])
            expected = (design.source.embedding_width, design.source.structural_columns)
            if widths != expected:
                raise DataError(
                    f"source {name!r} has {widths[0]} embedding and {widths[1]} structural columns, the estimator was "
                    f"fitted on {expected[0]} and {expected[1]}. Give the same files, or fit again."
                )


def fit_design(features: Features, sources: Mapping[str, Source], rows: Rows) -> Design:
    """Take the statistics of the rows that are fitted on; other rows are not used.

    Args:
        features: of products, with each of ``sources``.
        sources: as declared.
        rows: (F,) fit rows.
    """
    index = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.int64)).to(features.device)
    return Design(
        sources={name: _fit_source(source, _known(features.sources[name], index)) for name, source in sources.items()}
    )


def blocks(count: int, rows: int = BLOCK_ROWS) -> Iterator[slice]:
    """Slices that cover ``count`` rows, ``rows`` at a time."""
    return (slice(first, min(first + rows, count)) for first in range(0, count, rows))


def _known(source: SourceFeatures, index: torch.Tensor) -> Numbers:
    """Structural values of those products that a source knows."""
    rows = source.rows[index]
    return source.structural[rows[rows >= 0]].double().cpu().numpy()


def _fit_source(source: Source, structural: Numbers) -> SourceDesign:
    if isinstance(source, ColumnSourceParameters):
        count = len(source.numeric)
        numbers = structural[:, :count]
        logs = _goes_far(numbers)
    else:
        count = source.structural_columns
        numbers, logs = structural, np.ones(count, dtype=bool)
    mean, spread = _statistics(np.where(logs, _signed_logs(numbers), numbers))
    return SourceDesign(
        source=source,
        logs=tuple(logs.tolist()),
        mean=tuple(mean.tolist()),
        spread=tuple(np.where(spread > 0, spread, 1.0).tolist()),
        categories=tuple(_frequent(codes) for codes in structural[:, count:].T),
    )


def _goes_far(numbers: Numbers) -> NDArray[np.bool_]:
    """(K,) whether some value of a column is ``FARTHEST`` spreads from its mean."""
    mean, spread = _statistics(numbers)
    far: NDArray[np.bool_] = np.nanmax(np.abs(numbers - mean), axis=0, initial=0) > FARTHEST * spread
    return far & (spread > 0)


def _statistics(numbers: Numbers) -> tuple[Numbers, Numbers]:
    """Mean and standard deviation of each column, (K,), of what is there; 0 of an empty one."""
    known = ~np.isnan(numbers)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, numbers, 0).sum(axis=0) / count
    spread = np.sqrt(np.square(np.where(known, numbers - mean, 0)).sum(axis=0) / count)
    # A constant column has a spread of rounding alone.
    return mean, np.where(spread > 1e-6 * np.maximum(np.abs(mean), 1e-6), spread, 0.0)


def _frequent(codes: Numbers) -> tuple[int, ...]:
    """The most frequent codes of fit rows but for 0, ascending."""
    found, counts = np.unique(codes.astype(np.int64), return_counts=True)
    found, counts = found[found > 0], counts[found > 0]
    chosen = found[np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]]
    return tuple(np.sort(chosen).tolist())


def _signed_logs(numbers: Numbers) -> Numbers:
    logs: Numbers = np.sign(numbers) * np.log1p(np.abs(numbers))
    return logs


def _unit_length(vectors: Matrix) -> Matrix:
    lengths: Matrix = np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    unit: Matrix = vectors / lengths
    return unit


def _one_hot(codes: Numbers, known: tuple[int, ...]) -> NDArray[np.bool_]:
    """(M, 1 + known): the first column is of all codes that are not known."""
    columns: NDArray[np.bool_] = codes[:, None] == np.asarray([0, *known])
    columns[:, 0] = ~columns[:, 1:].any(axis=1)
    return columns
