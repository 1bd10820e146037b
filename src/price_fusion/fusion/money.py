"""Amounts of money as people read them: prices, and errors and widths in their unit.

One rule for a shop whose prices are fractions of a cent and for one in rupiah: two decimals, more where three significant
digits need them, none from 100,000 on.
"""

from __future__ import annotations

import math

WHOLE = 100_000
"""From where decimals are left out."""


def money(value: float, sign: str = "") -> str:
    """An amount as text.

    Args:
        value: the amount.
        sign: as of format specifications; ``+`` shows that of positive amounts.

    Examples:
        >>> [money(amount) for amount in (24.5, 0.00312, 2_013_456.7)]
        ['24.50', '0.00312', '2,013,457']
    """
    return f"{value:{sign},.{_decimals(value)}f}"


def rounded(value: float) -> float:
    """An amount with as many decimals as ``money`` shows."""
    return round(float(value), _decimals(value))


def _decimals(value: float) -> int:
    size = abs(value)
    if not math.isfinite(size) or size == 0:
        return 2
    return 0 if size >= WHOLE else max(2, 2 - math.floor(math.log10(size)))
