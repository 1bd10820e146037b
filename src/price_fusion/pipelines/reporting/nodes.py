"""Variants side by side."""

from __future__ import annotations

from typing import Any

import pandas as pd

from price_fusion.fusion.metrics import price_metrics
from price_fusion.fusion.tables.table import EmbeddingTable


def measure_yardsticks(
    samples: pd.DataFrame, split_table: pd.DataFrame, *tables: EmbeddingTable
) -> dict[str, dict[str, Any]]:
    """Metrics of a ridge regression and of the median price on the evaluated rows."""
    from price_fusion.fusion.yardsticks import yardstick_prices

    split, true, predictions = yardstick_prices(samples, split_table, {table.source: table for table in tables})
    return {
        name: {"split": split, "rows": len(true), **price_metrics(predicted, true)}
        for name, predicted in predictions.items()
    }


def rank(yardsticks: dict[str, dict[str, Any]], **metrics: dict[str, Any]) -> pd.DataFrame:
    """One row per variant and yardstick, best SMAPE first: ``model``, ``split``, ``rows``, ``smape`` ... ``r2``."""
    columns = ["split", "rows", "smape", "mae", "rmse", "r2"]
    rows = [
        {"model": name} | {column: values[column] for column in columns}
        for name, values in {**metrics, **yardsticks}.items()
    ]
    return pd.DataFrame(rows).sort_values("smape", kind="stable").reset_index(drop=True)
