"""What a model's log prices are of: the unit of a price, and the range that predictions stay in.

Models work on ``log1p(price / unit)``. That is close to a logarithm only for prices well above the unit, and losses end at
e^20 of it, so a shop with prices of fractions of a cent, or in rupiah, gets another power of ten as its unit.

The range follows from the prices that the model was fitted on, with room. A prediction beyond it says that the model was
given something unlike anything it has seen.
"""

from __future__ import annotations

import logging
import math
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from price_fusion.data.money import money
from price_fusion.data.prices import HIGHEST, LOWEST
from price_fusion.lazy import pd
from price_fusion.parameters.base import Parameters, Positive

logger = logging.getLogger(__name__)

Values = NDArray[np.float64]

ORDINARY = (1.0, 1_000.0)
"""Median prices between which the unit is 1."""
ROOM = 100.0
"""How far beyond the lowest and the highest price of its fit rows a model may predict."""


class PriceScale(Parameters):
    """The unit and the range of a model's prices."""

    unit: Positive
    """A power of ten, in the currency of the prices."""
    lowest: Positive
    """Of a predicted price."""
    highest: Positive

    @classmethod
    def of(cls, prices: ArrayLike, unit: float = 1.0) -> Self:
        """The scale of a model that is fitted on some prices.

        Args:
            prices: (N,); those that are not positive and finite say nothing of the range, and training refuses them.
            unit: as ``price_unit`` gives it.
        """
        values = np.asarray(prices, np.float64)
        values = values[np.isfinite(values) & (values > 0)]
        if not len(values):
            return cls(unit=unit, lowest=BEFORE.lowest, highest=BEFORE.highest)
        return cls.between(float(values.min()), float(values.max()), unit)

    @classmethod
    def between(cls, low: float, high: float, unit: float = 1.0) -> Self:
        """The scale of a model whose fit rows have prices between two."""
        return cls(unit=unit, lowest=max(low / ROOM, LOWEST), highest=min(high * ROOM, HIGHEST))

    @property
    def lowest_log(self) -> float:
        """Log price of ``lowest``."""
        return math.log1p(self.lowest / self.unit)

    @property
    def highest_log(self) -> float:
        """Log price of ``highest``."""
        return math.log1p(self.highest / self.unit)

    def logs(self, prices: ArrayLike) -> Values:
        """Log prices of prices, of the same shape."""
        logs: Values = np.log1p(np.asarray(prices, np.float64) / self.unit)
        return logs

    def prices(self, logs: ArrayLike) -> Values:
        """Prices of log prices, within the range, of the same shape; NaN stays NaN."""
        below = np.minimum(np.asarray(logs, np.float64), self.highest_log + 1.0)  # no overflow
        prices: Values = np.clip(np.expm1(below) * self.unit, self.lowest, self.highest)
        return prices

    def bounded(self, logs: ArrayLike, name: str | None = None) -> Values:
        """Log prices within the range, of the same shape.

        Args:
            logs: predicted.
            name: of the model, for a warning if some are beyond it; None: no warning.
        """
        predicted = np.asarray(logs, np.float64)
        beyond = int(np.count_nonzero((predicted < self.lowest_log) | (predicted > self.highest_log)))
        if beyond and name is not None:
            logger.warning(
                "%s: %s of %s predicted prices were beyond the range of its train prices plus a margin, %s to %s: clipped "
                "to it. Check that these products are like the training products.",
                name,
                f"{beyond:,}",
                f"{predicted.size:,}",
                money(self.lowest),
                money(self.highest),
            )
        within: Values = np.clip(predicted, self.lowest_log, self.highest_log)
        return within


BEFORE = PriceScale(unit=1.0, lowest=0.01, highest=1e6)
"""Of models from before scales followed from prices; they predict as they did."""


def in_unit(logs: Values, given: float, wanted: float) -> Values:
    """Log prices of one unit as those of another; the same array where both are one."""
    if given == wanted:
        return logs
    converted: Values = np.log1p(np.expm1(logs) * (given / wanted))
    return converted


def price_unit(median: float) -> float:
    """A power of ten such that the median price is about ten of it; 1 where it lies within ``ORDINARY`` or is not finite."""
    if ORDINARY[0] <= median <= ORDINARY[1] or not math.isfinite(median):
        return 1.0
    return float(10.0 ** round(math.log10(median) - 1))


def unit_of_split(samples: pd.DataFrame, split_table: pd.DataFrame) -> float:
    """The unit for models of a split: one for all its folds and variants, of the rows that are not held out.

    Args:
        samples: the sample table, labelled.
        split_table: of the same products.
    """
    known = samples["price"].to_numpy(np.float64)[(split_table["split"] != "holdout").to_numpy()]
    return price_unit(float(np.median(known))) if len(known) else 1.0
