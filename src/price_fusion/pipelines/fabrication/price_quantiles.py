"""What real prices look like, in 201 figures, and prices that are distributed in the same way.

The figures are the quantiles 0, 0.005, ..., 1 of 72,719 real prices (USD) of the Amazon ML Challenge 2025. They are
statistics: no price can be traced to its product.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# fmt: off
PRICE_QUANTILES: tuple[float, ...] = (
    0.13, 1.08, 1.33, 1.485, 1.6568, 1.79, 1.94, 1.99, 2.135, 2.28,
    2.44, 2.51, 2.68, 2.79, 2.94, 2.99, 3.09, 3.24, 3.37, 3.485,
    3.57, 3.69, 3.79, 3.8928, 3.99, 4.0, 4.17, 4.29, 4.39, 4.49,
    4.59, 4.72, 4.8, 4.94, 4.99, 5.0, 5.17, 5.29, 5.39, 5.49,
    5.59, 5.74, 5.865, 5.98, 5.99, 6.105, 6.25, 6.415, 6.49, 6.65,
    6.79, 6.96, 6.99, 7.08, 7.25, 7.405, 7.495, 7.68, 7.86, 7.98,
    7.99, 8.07, 8.29, 8.465, 8.56, 8.775, 8.95, 8.99, 8.9956, 9.22,
    9.4015, 9.53, 9.76, 9.94, 9.99, 9.99, 9.99, 10.0, 10.255, 10.49,
    10.69, 10.94, 10.99, 11.02, 11.33, 11.4957, 11.7837, 11.97, 11.99, 12.03,
    12.33, 12.5035, 12.8, 12.96, 12.99, 12.99, 13.295, 13.5161, 13.85, 13.98,
    13.99, 14.2, 14.49, 14.79, 14.95, 14.99, 14.99, 14.995, 15.3336, 15.63,
    15.95, 15.99, 16.34, 16.69, 16.95, 16.99, 17.1922, 17.54, 17.95, 17.99,
    18.17, 18.51, 18.95, 18.99, 19.235, 19.65, 19.95, 19.99, 19.99, 20.39,
    20.845, 21.0, 21.49, 21.95, 21.99, 22.49, 22.97, 23.04, 23.7, 23.99,
    24.42, 24.94, 24.99, 25.255, 25.93, 26.09, 26.6857, 26.99, 27.4716, 27.99,
    28.38, 28.97, 29.3434, 29.95, 29.99, 30.37, 30.99, 31.8732, 32.29, 32.98,
    33.49, 34.18, 34.97, 35.28, 35.99, 36.9235, 37.63, 38.3453, 38.99, 39.95,
    39.99, 41.11, 42.4148, 43.5314, 44.9166, 45.8863, 46.93, 48.0, 49.72, 50.19,
    51.92, 53.239, 54.99, 56.4997, 58.8812, 59.99, 62.9874, 65.3367, 68.59, 71.67,
    75.145, 79.87, 82.99, 87.17, 93.46, 99.99, 113.2812, 126.7838, 145.2746, 184.3392,
    2796.0,
)
# fmt: on
"""USD."""

_STEPS = len(PRICE_QUANTILES) - 1
_UNITS_PER_DOLLAR = 10_000  # the figures have up to four decimals
_UNITS_PER_CENT = 100

_TAIL_POWER = 17
"""How fast prices rise within the last half percent, from 184 to 2,796 USD. Along a straight line, the mean of all
prices would be 30 USD; with this power it is the 23.7 USD of the real prices."""


def prices_by_rank(worth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the most expensive product the highest real price, the next one the next, and so on down to the lowest.

    Args:
        worth: shape (N,), what each product is worth, in any unit; ties go by position.

    Returns:
        Prices in cents, shape (N,). Integer arithmetic only, so that no machine rounds differently.
    """
    count = len(worth)
    ranks = np.empty(count, dtype=np.int64)
    ranks[np.argsort(worth, kind="stable")] = np.arange(count)
    whole = max(count - 1, 1)
    figures = np.array([round(price * _UNITS_PER_DOLLAR) for price in PRICE_QUANTILES], dtype=np.int64)
    step, rest = np.divmod(ranks * _STEPS, whole)
    step, rest = np.where(step == _STEPS, _STEPS - 1, step), np.where(step == _STEPS, whole, rest)
    low, high = figures[step], figures[step + 1]
    units = low + (high - low) * rest // whole
    for row in np.flatnonzero(step == _STEPS - 1):
        # Python's integers: these powers are far beyond 64 bits.
        rise = int(high[row] - low[row]) * int(rest[row]) ** _TAIL_POWER // whole**_TAIL_POWER
        units[row] = low[row] + rise
    cents: NDArray[np.int64] = (units + _UNITS_PER_CENT // 2) // _UNITS_PER_CENT
    return cents
