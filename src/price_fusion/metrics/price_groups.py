"""Groups of products by price that figures are given for, and the currency of the prices.

By default the groups follow from the train prices: their quantiles, rounded to figures that a person would choose.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from price_fusion.parameters import PriceGroupParameters
from price_fusion.parameters.base import Parameters

BIN_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Of the train prices, below the edges of bins: finer among expensive products, where errors are largest."""
RANGE_SHARES = {"low": 0.1, "medium": 0.4, "high": 0.75, "very high": 0.95}
"""Of the train prices, below the lower edge of each range."""
LOWEST_RANGE = "very low"
STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""What an edge may be, times a power of ten."""


class PriceGroups(Parameters):
    """Bins and ranges of prices, and their currency. A group holds its lower edge."""

    currency: str
    edges: tuple[float, ...]
    """Inner edges of the bins, ascending: the first bin begins at 0 and the last has no end."""
    ranges: dict[str, float]
    """Lower edge of each range, ascending from 0."""

    @classmethod
    def of_prices(cls, prices: ArrayLike, currency: str, chosen: PriceGroupParameters) -> PriceGroups:
        """Groups as configured, and where nothing is, by the train prices.

        Args:
            prices: (N,) train prices.
            currency: of the prices.
            chosen: what is configured.
        """
        values = np.asarray(prices, np.float64)

        def edge(share: float) -> float:
            return rounded_edge(float(np.quantile(values, share)))

        edges = chosen.bins or tuple(sorted({edge(share) for share in BIN_SHARES}))
        return cls(currency=currency, edges=edges, ranges=chosen.ranges or _ranges(edge))

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the bins: ``0 to 5``, ..., ``500 and above``."""
        bounds = [_shown(edge) for edge in (0.0, *self.edges)]
        return (*(f"{low} to {high}" for low, high in pairwise(bounds)), f"{bounds[-1]} and above")

    def bins_of(self, prices: ArrayLike) -> NDArray[np.int64]:
        """Number of each price's bin, (N,)."""
        return np.searchsorted(self.edges, np.asarray(prices, np.float64), side="right")

    def ranges_of(self, prices: ArrayLike) -> NDArray[np.int64]:
        """Number of each price's range, (N,)."""
        return np.searchsorted(tuple(self.ranges.values())[1:], np.asarray(prices, np.float64), side="right")


def rounded_edge(price: float) -> float:
    """The nearest figure, by ratio, that a person would choose: 1, 1.5, 2, 2.5, 3, 4, 5, 6 or 8 times a power of ten.

    >>> [rounded_edge(price) for price in (0.012, 7.3, 13.8, 2_345.0)]
    [0.01, 8.0, 15.0, 2500.0]
    """
    power = math.floor(math.log10(price))
    step = min(STEPS, key=lambda one: abs(math.log(one * 10.0**power / price)))
    return float(f"{step}e{power}")  # 3 * 0.1 is not 0.3


def _ranges(edge: Callable[[float], float]) -> dict[str, float]:
    """Ranges between the edges at ``RANGE_SHARES``; of ranges that begin at the same one, the first."""
    found = {LOWEST_RANGE: 0.0}
    for name, share in RANGE_SHARES.items():
        if edge(share) > max(found.values()):
            found[name] = edge(share)
    return found


def _shown(edge: float) -> str:
    return f"{edge:,.10g}"
