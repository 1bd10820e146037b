"""Amounts of money as people read them: prices, and errors and widths in their unit.

One rule for a shop whose prices are fractions of a cent and for one in rupiah: two decimals, more where three significant
digits need them, none from 100,000 on. What would need more than eight decimals is in scientific notation.
"""

from __future__ import annotations

import math

WHOLE = 100_000
"""From where decimals are left out."""
MOST_DECIMALS = 8
"""As many as a bitcoin has; three significant digits of amounts from 0.000001 on fit into them."""


def money(value: float, sign: str = "") -> str:
    """An amount as text.

    Args:
        value: the amount.
        sign: as of format specifications; ``+`` shows that of positive amounts.

    Examples:
        >>> [money(amount) for amount in (24.5, 0.00312, 2_013_456.7, 1e-12)]
        ['24.50', '0.00312', '2,013,457', '1.00e-12']
    """
    if _decimals(value) > MOST_DECIMALS:
        return f"{value:{sign}.2e}"
    return f"{value:{sign},.{_decimals(value)}f}"


def rounded(value: float) -> float:
    """An amount with as many digits as ``money`` shows."""
    return round(float(value), _decimals(value))


def _decimals(value: float) -> int:
    size = abs(value)
    if not math.isfinite(size) or size == 0:
        return 2
    return 0 if size >= WHOLE else max(2, 2 - math.floor(math.log10(size)))
