"""Prices for products that have none."""

from __future__ import annotations

from typing import Any

import pandas as pd

from price_fusion.fusion.tables.table import EmbeddingTable
from price_fusion.parameters import InferenceParameters, IntervalParameters


def price_products(
    checkpoint: Any,
    samples: pd.DataFrame,
    inference: InferenceParameters,
    intervals: IntervalParameters,
    *tables: EmbeddingTable,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict each product of test.csv, in its order, with a ``Checkpoint`` or an ``Ensemble``.

    Returns:
        ``sample_id`` and ``price`` in USD, finite and positive; and the same with the bounds of intervals.
    """
    from price_fusion.fusion.predictor import Predictor

    predictor = Predictor(checkpoint, inference.precision)
    prices = predictor.price_samples(samples, {table.source: table for table in tables}, intervals.levels)
    prices.insert(0, "sample_id", samples["sample_id"].to_numpy())
    return prices if inference.intervals_in_submission else prices[["sample_id", "price"]], prices
