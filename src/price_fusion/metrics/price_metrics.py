"""Metrics of predicted prices, overall, by price group and per product. Prices in currency units, SMAPE in percent (0 to 200)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from price_fusion.lazy import pd
from price_fusion.metrics.price_groups import PriceGroups

Prices = NDArray[np.floating]


def smape_per_product(predicted: Prices, true: Prices) -> NDArray[np.float64]:
    """200 |p - t| / (|p| + |t|) of each product, (N,); 0 where both are 0."""
    predicted, true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    total = np.abs(predicted) + np.abs(true)
    return 200.0 * np.abs(predicted - true) / np.where(total > 0, total, 1.0)


def price_metrics(predicted: Prices, true: Prices) -> dict[str, float]:
    """Metrics over all products.

    Returns:
        ``smape`` in percent, ``mae`` and ``rmse`` in currency units, ``r2`` (of prices; NaN for fewer than two different prices).
    """
    predicted, true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    error = predicted - true
    # Equal prices have no spread, but their mean may differ from them in the last bit.
    spread = np.square(true - true.mean()).sum() if np.ptp(true) > 0 else 0.0
    return {
        "smape": float(smape_per_product(predicted, true).mean()),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt(np.square(error).mean())),
        "r2": float(1 - np.square(error).sum() / spread) if spread > 0 else float("nan"),
    }


def metrics_by_price(predicted: Prices, true: Prices, groups: PriceGroups) -> pd.DataFrame:
    """Metrics by bin and by range of the true price.

    Args:
        predicted: (N,) prices.
        true: (N,) prices.
        groups: the bins and ranges.

    Returns:
        one row per bin, then per range: ``grouping``, ``group``, ``rows``, ``mean_true``, ``mean_predicted``, ``smape``,
        ``mae``, ``rmse``, ``r2``; empty groups are listed with 0 rows.
    """
    bins = _grouped(predicted, true, "bin", groups.labels, groups.bins_of(true))
    ranges = _grouped(predicted, true, "range", tuple(groups.ranges), groups.ranges_of(true))
    return pd.concat([bins, ranges], ignore_index=True)


def _grouped(
    predicted: Prices, true: Prices, grouping: str, labels: Sequence[str], place: NDArray[np.int64]
) -> pd.DataFrame:
    rows = []
    for number, label in enumerate(labels):
        inside = place == number
        row: dict[str, object] = {"grouping": grouping, "group": label, "rows": int(inside.sum())}
        if inside.any():
            row |= {"mean_true": float(true[inside].mean()), "mean_predicted": float(predicted[inside].mean())}
            row |= price_metrics(predicted[inside], true[inside])
        rows.append(row)
    columns = ["grouping", "group", "rows", "mean_true", "mean_predicted", "smape", "mae", "rmse", "r2"]
    return pd.DataFrame(rows, columns=columns)
