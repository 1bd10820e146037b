"""What one source contributes to the design, with statistics of the rows that are fitted on.

Shapes: ``M`` rows asked for, ``K`` numbers of a source. Side by side stand the embedding in unit length, the numbers with
zero mean and unit spread, and, of a column source, a flag for each number that is missing, one-hot categories, and how far
each number is through each of its quantile bins. What a product lacks is 0.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.quantity.amounts import AMOUNT, AMOUNT_KIND
from price_fusion.models.layers.branches import SourceBatch
from price_fusion.parameters import ColumnSourceParameters, Source
from price_fusion.parameters.base import Parameters

FARTHEST = 10.0
"""Spreads from the mean. A column that goes farther among the fit rows is taken as signed logs; beyond it values count as
it: a linear model would answer an absurd quantity with an absurd price."""
MOST_CATEGORIES = 256
"""One-hot columns of a categorical column: the most frequent categories have one each, the others count as unknown."""

Matrix = NDArray[np.float32]
Numbers = NDArray[np.float64]


class Amounts(NamedTuple):
    """How much of each of M products there is."""

    logs: Numbers
    """(M,) natural logarithms, in the base unit of the kind; NaN where it is not known."""
    kinds: NDArray[np.int64]
    """(M,) what is counted: weight, volume or pieces; 0 where it is not known."""


class Contribution(Parameters):
    """Columns of the design that are of one source."""

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
    edges: tuple[tuple[float, ...], ...]
    """(K,) ends of each number's quantile bins, ascending; none of a number without bins."""

    @property
    def width(self) -> int:
        """Columns of the matrix."""
        numbers = len(self.mean) * (2 if self._flagged else 1)
        categories = sum(1 + len(codes) for codes in self.categories)
        bins = sum(max(len(edges) - 1, 0) for edges in self.edges)
        return self.source.embedding_width + numbers + categories + bins

    @property
    def _flagged(self) -> bool:
        return isinstance(self.source, ColumnSourceParameters)

    def fill(self, columns: Matrix, batch: SourceBatch) -> None:
        """Write the values of a batch into columns (M, width) of zeros."""
        width, count = self.source.embedding_width, len(self.mean)
        structural = batch.structural.numpy().astype(np.float64)
        numbers, codes = structural[:, :count], structural[:, count:]
        parts: list[NDArray[Any]] = [self._scaled(numbers)]
        if self._flagged:
            parts.append(np.isnan(numbers))
        parts += [_one_hot(code, known) for code, known in zip(codes.T, self.categories, strict=True)]
        parts += [_through_bins(number, edges) for number, edges in zip(numbers.T, self.edges, strict=True)]
        columns[:, :width] = _unit_length(batch.vectors.float().numpy())
        columns[:, width:] = np.concatenate(parts, axis=1)
        columns[~batch.present.numpy()] = 0

    def amounts(self, columns: Matrix) -> Amounts | None:
        """What the columns beside the embedding, (M, columns), say of amounts; None if the source has none.

        The source parsed as ``quantity`` has them.
        """
        source = self.source
        if not isinstance(source, ColumnSourceParameters) or AMOUNT not in source.parsed_columns:
            return None
        number, kind = source.numeric.index(AMOUNT), source.categorical.index(AMOUNT_KIND)
        first = 2 * len(self.mean) + sum(1 + len(codes) for codes in self.categories[:kind])
        codes = columns[:, first : first + 1 + len(self.categories[kind])]
        logs = columns[:, number].astype(np.float64) * self.spread[number] + self.mean[number]
        known = codes.any(axis=1) & (columns[:, len(self.mean) + number] == 0)
        return Amounts(np.where(known, logs, np.nan), codes.argmax(axis=1))

    def _scaled(self, numbers: Numbers) -> Numbers:
        """Standardised numbers, (M, K); missing ones are 0, as the mean is."""
        scaled = (np.where(self.logs, _signed_logs(numbers), numbers) - self.mean) / np.asarray(self.spread)
        kept: Numbers = np.clip(np.nan_to_num(scaled, nan=0.0), -FARTHEST, FARTHEST)
        return kept


def fit_contribution(source: Source, structural: Numbers) -> Contribution:
    """Take the statistics of a source.

    Args:
        source: as declared.
        structural: (M, K and codes) of the fit rows that it knows.
    """
    if isinstance(source, ColumnSourceParameters):
        count = len(source.numeric)
        # A parser's numbers are logarithms already.
        logs = _goes_far(structural[:, :count]) & ~np.isin(source.numeric, source.parsed_columns)
        bins = 0 if source.encoding == "plain" else source.bins
    else:
        count, bins = source.structural_columns, 0
        logs = np.ones(count, dtype=bool)
    numbers = structural[:, :count]
    mean, spread = _statistics(np.where(logs, _signed_logs(numbers), numbers))
    return Contribution(
        source=source,
        logs=tuple(logs.tolist()),
        mean=tuple(mean.tolist()),
        spread=tuple(np.where(spread > 0, spread, 1.0).tolist()),
        categories=tuple(_frequent(codes) for codes in structural[:, count:].T),
        edges=tuple(_quantiles(number, bins) for number in numbers.T),
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


def _quantiles(numbers: Numbers, bins: int) -> tuple[float, ...]:
    """Ends of the quantile bins of a number, (M,); bins without width are left out."""
    known = numbers[~np.isnan(numbers)]
    if not bins or not len(known):
        return ()
    return tuple(np.unique(np.quantile(known, np.linspace(0, 1, bins + 1))).tolist())


def _signed_logs(numbers: Numbers) -> Numbers:
    logs: Numbers = np.sign(numbers) * np.log1p(np.abs(numbers))
    return logs


def _unit_length(vectors: Matrix) -> Matrix:
    with np.errstate(over="ignore"):
        lengths: Matrix = np.linalg.norm(vectors, axis=1, keepdims=True)
    huge = np.isinf(lengths).squeeze(1)
    if huge.any():
        vectors = vectors.copy()
        vectors[huge] /= np.abs(vectors[huge]).max(axis=1, keepdims=True)
        lengths[huge] = np.linalg.norm(vectors[huge], axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    unit: Matrix = vectors / lengths
    return unit


def _one_hot(codes: Numbers, known: tuple[int, ...]) -> NDArray[np.bool_]:
    """(M, 1 + known): the first column is of all codes that are not known."""
    columns: NDArray[np.bool_] = codes[:, None] == np.asarray([0, *known])
    columns[:, 0] = ~columns[:, 1:].any(axis=1)
    return columns


def _through_bins(numbers: Numbers, edges: tuple[float, ...]) -> Numbers:
    """How far each number is through each bin, (M, bins): 0 below it, 1 above it; 0 where the number is missing.

    The encoding of the networks' column sources (``models/layers/columns.py``), after Gorishniy et al. 2022.
    """
    parts = [np.clip((numbers - low) / (high - low), 0, 1) for low, high in pairwise(edges)]
    return np.nan_to_num(np.column_stack(parts)) if parts else np.zeros((len(numbers), 0))
