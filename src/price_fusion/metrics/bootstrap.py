"""Bootstrap intervals of means over products, and of differences of two models on the same products.

Percentile bootstrap: B. Efron and R. J. Tibshirani, *An Introduction to the Bootstrap*, Chapman & Hall, 1993, chapter 13.
Products that share an image or a text are not independent of each other, so whole groups of them are drawn.

Shapes: ``N`` products, ``M`` models, ``G`` groups, ``R`` resamples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values = NDArray[np.floating]

CONFIDENCE = 0.95
BLOCK_DRAWS = 2_000_000
"""Draws held at a time: 16 MB of them, and as much of counts."""


class Interval(NamedTuple):
    """Bounds that hold the middle 95 % of the resamples."""

    low: float
    high: float


class Difference(NamedTuple):
    """Mean of one model minus mean of another."""

    mean: float
    low: float
    high: float
    reversed: float
    """Share of the resamples in which the difference is zero or has the other sign."""


def mean_interval(
    values: Values, groups: ArrayLike | None = None, *, resamples: int = 2_000, seed: int = 0
) -> Interval:
    """95 % interval of a mean.

    Args:
        values: (N,) a value per product.
        groups: (N,) labels of what belongs together; without them each product stands alone.
        resamples: how many.
        seed: of the draws.
    """
    return interval(bootstrap_means(values[:, None], groups, resamples=resamples, seed=seed)[:, 0])


def paired_difference(
    first: Values, second: Values, groups: ArrayLike | None = None, *, resamples: int = 2_000, seed: int = 0
) -> Difference:
    """Mean of ``first`` minus mean of ``second``, with the same products drawn for both.

    Args:
        first: (N,) values of one model.
        second: (N,) values of another on the same products.
        groups: as in ``mean_interval``.
        resamples: how many.
        seed: of the draws.
    """
    means = bootstrap_means(np.column_stack([first, second]), groups, resamples=resamples, seed=seed)
    return difference(float(np.mean(first) - np.mean(second)), means[:, 0] - means[:, 1])


def interval(resampled: Values) -> Interval:
    """The percentile interval of (R,) resampled statistics."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return Interval(float(low), float(high))


def difference(observed: float, resampled: Values) -> Difference:
    """A difference with what (R,) resamples of it say."""
    return Difference(observed, *interval(resampled), float(np.mean(resampled * np.sign(observed) <= 0)))


def bootstrap_means(
    values: Values,
    groups: ArrayLike | None = None,
    *,
    resamples: int = 2_000,
    seed: int = 0,
    block_draws: int = BLOCK_DRAWS,
) -> NDArray[np.float64]:
    """Means of resamples, the same draws for every model.

    A resample is G groups drawn with replacement; its mean is the sum of their values over the number of their products,
    so only sums per group are needed. Draws are made in blocks; the result does not depend on their size.

    Args:
        values: (N, M) a value per product and model.
        groups: (N,) labels of what belongs together, or None.
        resamples: how many.
        seed: of the draws.
        block_draws: about how many draws are in memory at a time.

    Returns:
        (R, M).
    """
    sums, sizes = _group_sums(np.asarray(values, np.float64), groups)
    generator, means = np.random.default_rng(seed), np.empty((resamples, sums.shape[1]))
    step = max(1, block_draws // len(sizes))
    for start in range(0, resamples, step):
        counts = _draw_counts(generator, min(step, resamples - start), len(sizes))
        means[start : start + step] = (counts @ sums) / (counts @ sizes)[:, None]
    return means


def _group_sums(
    values: NDArray[np.float64], groups: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum of each group and model, (G, M), and products of each group, (G,)."""
    if groups is None:
        return values, np.ones(len(values))
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.column_stack([np.bincount(index, weights=column) for column in values.T])
    return sums.astype(np.float64), np.bincount(index).astype(np.float64)


def _draw_counts(generator: np.random.Generator, resamples: int, groups: int) -> NDArray[np.float64]:
    """How often each group is drawn in each of some resamples, (resamples, G)."""
    drawn = generator.integers(groups, size=(resamples, groups))
    drawn += np.arange(resamples)[:, None] * groups
    return np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)
