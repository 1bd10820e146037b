"""Whether the test embeddings of a source are like its train embeddings: of one encoder, and normalised alike.

Moments alone miss what an orthogonal map does to an encoder: norms and spread stay. Neighbours do not: a product has others
like it among the train rows, and next to none among those of another encoder.

Shape letters: ``N`` train rows, ``M`` test rows, ``D`` columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.data.checks.suspicions import Suspicion
from price_fusion.data.table import EmbeddingTable

Matrix = NDArray[np.float64]

SAMPLE = 1_024
"""Rows of each table that are compared, evenly spaced."""
LEAST = 50
"""Fewer rows say too little."""
NORMS_APART, CENTRES_APART, SPREAD_FACTOR, COSINE_FACTOR, FURTHER_OFTEN = 0.5, 0.5, 1.4, 0.6, 0.85
"""Suspicious beyond these; ``docs/input-checks.md`` has how far honest rows are from them."""
_SAME_NORM = 0.02
"""Relative difference of norms that counts as none: normalised in float16 or in float32."""


@dataclass(frozen=True)
class Shift:
    """How far test rows are from train rows.

    Attributes:
        norms: Euclidean norms, the medians of train and of test.
        norms_apart: largest difference between the two distributions of norms, 0 (alike) to 1 (disjoint): the statistic of
            Kolmogorov and Smirnov, but for differences of 2 %.
        centres_apart: distance of the two means, less what the number of rows explains, in units of the spread of train.
        spread: spread (root of the total variance) of test, over that of train.
        nearest: cosine of other train rows to the nearest of half of the train rows (median).
        nearest_of_test: the same of test rows.
        further_often: how often a test row is further from its nearest one than such a train row; 0.5 where they are alike.
    """

    norms: tuple[float, float]
    norms_apart: float
    centres_apart: float
    spread: float
    nearest: float
    nearest_of_test: float
    further_often: float

    def reasons(self) -> Iterator[str]:
        """What is suspicious, in words with figures."""
        if self.norms_apart > NORMS_APART:
            yield f"norms are {self.norms[1]:.3g} where train has {self.norms[0]:.3g} (medians)"
        if self.centres_apart > CENTRES_APART:
            yield f"their mean is {self.centres_apart:.2g} times the spread of train from the mean of train"
        if not 1 / SPREAD_FACTOR <= self.spread <= SPREAD_FACTOR:
            yield f"their spread is {self.spread:.3g} times that of train"
        if self.nearest_of_test < COSINE_FACTOR * self.nearest and self.further_often > FURTHER_OFTEN:
            yield (
                f"the cosine to the nearest train row is {self.nearest_of_test:.2f}, where it is {self.nearest:.2f} among train "
                "rows (medians, means taken off)"
            )


def suspicions_of_shift(train: EmbeddingTable, test: EmbeddingTable) -> Iterator[Suspicion]:
    """One suspicion if the test embeddings of a source lie elsewhere than those of train."""
    if not train.width or train.width != test.width:
        return
    rows, others = sampled(train.vectors), sampled(test.vectors)
    if min(len(rows), len(others)) < LEAST:
        return
    reasons = list(shift_between(rows, others).reasons())
    if reasons:
        yield Suspicion(
            f"{test.source} ({test.origin})",
            "test_unlike_train",
            f"the embeddings lie elsewhere than those of train ({train.origin}): {'; '.join(reasons)}",
            test.rows,
            test.rows,
            "rows",
            (),
            "Check that both are of one version of one encoder, with the same input and normalisation.",
        )


def sampled(shards: list[NDArray[np.floating[Any]]]) -> Matrix:
    """Evenly spaced rows of a matrix in shards, without those of zeros, as float64 (at most ``SAMPLE``, D)."""
    count = sum(map(len, shards))
    chosen = np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64))
    starts = np.cumsum([0, *map(len, shards)])
    parts = [
        shard[chosen[(chosen >= start) & (chosen < start + len(shard))] - start]
        for start, shard in zip(starts, shards, strict=False)
    ]
    rows: Matrix = np.concatenate(parts).astype(np.float64)
    return np.asarray(rows[(rows != 0).any(axis=1)])


def shift_between(train: Matrix, test: Matrix) -> Shift:
    """Compare rows of train (N, D) with rows of test (M, D), none of them of zeros."""
    norms, others = np.linalg.norm(train, axis=1), np.linalg.norm(test, axis=1)
    spread, other_spread = (float(rows.var(axis=0, ddof=1).sum()) for rows in (train, test))
    # The means of two samples of one distribution differ by this much already.
    expected = spread / len(train) + other_spread / len(test)
    squared = float(((test.mean(axis=0) - train.mean(axis=0)) ** 2).sum()) - expected
    tiny = float(np.finfo(np.float64).tiny)
    nearest, nearest_of_test = (_nearest(rows, train[::2]) for rows in (train[1::2], test))
    return Shift(
        norms=(float(np.median(norms)), float(np.median(others))),
        norms_apart=max(_larger_by(norms, others), _larger_by(others, norms)),
        centres_apart=float(np.sqrt(max(squared, 0) / max(spread, tiny))),
        spread=float(np.sqrt(max(other_spread, tiny) / max(spread, tiny))),
        nearest=float(np.median(nearest)),
        nearest_of_test=float(np.median(nearest_of_test)),
        further_often=float(np.searchsorted(np.sort(nearest_of_test), nearest, side="left").mean() / len(test)),
    )


def _larger_by(values: Matrix, others: Matrix) -> float:
    """By how much more of ``others`` than of ``values`` lies below some bound, at most; a little smaller is not below."""
    bounds = np.sort(values) * (1 - _SAME_NORM)
    below = np.searchsorted(np.sort(others), bounds, side="left") / len(others)
    return float((below - np.arange(len(values)) / len(values)).max())


def _nearest(rows: Matrix, others: Matrix) -> Matrix:
    """Largest cosine of each row to any of the others, (rows,), the mean of either taken off."""
    return np.asarray((_directions(rows) @ _directions(others).T).max(axis=1))


def _directions(rows: Matrix) -> Matrix:
    centred = rows - rows.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(lengths, np.finfo(np.float64).tiny))
