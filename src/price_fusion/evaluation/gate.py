"""Whether the experts of a mixture specialise: how a gate divides its weight among them, by price."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from price_fusion.metrics.price_groups import PriceGroups

IDLE_WEIGHT = 0.01
"""An expert whose mean weight is below it has no say."""
SOLE_WEIGHT = 0.99
"""An expert whose mean weight is above it has all the say."""
FEWEST_ROWS = 10
"""Products that a bin must hold before it says anything of the gate."""


def gate_report(weights: NDArray[np.floating], price: NDArray[np.floating], groups: PriceGroups) -> dict[str, Any]:
    """Mean gate weight of each expert, overall and by bin of the true price.

    Args:
        weights: (N, experts), each row summing to 1; (N, 0) of a model without a gate.
        price: (N,) true prices.
        groups: whose bins to take.

    Returns:
        ``experts``, ``rows`` and ``currency``; ``mean_weights``, one per expert; ``by_price``: ``bin``, ``rows`` and ``mean_weights``
        of each bin that holds products.
    """
    experts = weights.shape[1]
    place = groups.bins_of(price)
    bins = [(label, weights[place == number]) for number, label in enumerate(groups.labels)]
    return {
        "experts": experts,
        "rows": len(weights),
        "currency": groups.currency,
        "mean_weights": _means(weights),
        "by_price": [
            {"bin": label, "rows": len(inside), "mean_weights": _means(inside)}
            for label, inside in bins
            if experts and len(inside)
        ],
    }


def gate_collapse(report: dict[str, Any]) -> list[str]:
    """What is wrong with a gate, a line for each expert without a say, and for each that has all of it in some bins."""
    experts = report["experts"]
    problems = [
        f"expert {number} of {experts} is idle: its mean gate weight is {weight:.4f}"
        for number, weight in enumerate(report["mean_weights"], start=1)
        if weight < IDLE_WEIGHT
    ]
    bins = [part for part in report["by_price"] if part["rows"] >= FEWEST_ROWS]
    for number in range(1, experts + 1):
        ruled = [part["bin"] for part in bins if part["mean_weights"][number - 1] > SOLE_WEIGHT]
        if ruled:
            problems.append(
                f"expert {number} of {experts} has all the say on prices of {', '.join(ruled)} {report['currency']}"
            )
    return problems


def _means(weights: NDArray[np.floating]) -> list[float]:
    return [float(mean) for mean in weights.mean(axis=0, dtype=np.float64)] if weights.size else []
