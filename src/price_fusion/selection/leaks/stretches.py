"""Where in a row of values their mean is higher than elsewhere.

Shapes: ``M`` values in order, ``B`` blocks of nearly equal size.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

BLOCKS = 20
EXCEEDANCES = 10
"""Permutations as extreme as what was observed after which no more are drawn."""
FINEST = 0.01
"""The smallest p-value is this share of the level of significance: room for 100 tests."""


class Stretch(NamedTuple):
    """The stretch that stands out most."""

    start: int
    stop: int
    p_value: float


def best_stretch(values: Values, *, significance: float, seed: int) -> Stretch:
    """Find the stretch of whole blocks whose mean exceeds that of the rest most, in standard errors.

    Args:
        values: (M,) independent of each other but for where they stand; at least two blocks of them.
        significance: level at which p-values are to be told from chance.
        seed: of the permutations.
    """
    edges = np.linspace(0, len(values), min(BLOCKS, len(values)) + 1).astype(np.int64)
    centred = values - values.mean()
    inside = [(first, last) for first in range(len(edges) - 1) for last in range(first + 1, len(edges))]
    starts, stops = np.array([pair for pair in inside if pair != (0, len(edges) - 1)]).T
    sizes = (edges[stops] - edges[starts]).astype(np.float64)
    scale = np.sqrt(sizes * (1 - sizes / len(values)))

    def excess(ordered: Values) -> Values:
        sums = np.concatenate([[0.0], np.cumsum(ordered)])[edges]
        standing: Values = (sums[stops] - sums[starts]) / scale
        return standing

    observed = excess(centred)
    best = int(observed.argmax())
    generator = np.random.default_rng(seed)
    most, exceeding, drawn = round(1 / (FINEST * significance)), 0, 0
    while drawn < most and exceeding < EXCEEDANCES:
        drawn += 1
        exceeding += bool(excess(generator.permutation(centred)).max() >= observed[best])
    p_value = exceeding / drawn if exceeding == EXCEEDANCES else (exceeding + 1) / (drawn + 1)
    return Stretch(int(edges[starts[best]]), int(edges[stops[best]]), p_value)
