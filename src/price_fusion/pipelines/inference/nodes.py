"""Prices for products that have none."""

from __future__ import annotations

import pandas as pd

from price_fusion.fusion.checkpoint import Checkpoint
from price_fusion.fusion.tables.table import EmbeddingTable
from price_fusion.parameters import InferenceParameters


def price_products(
    checkpoint: Checkpoint, samples: pd.DataFrame, inference: InferenceParameters, *tables: EmbeddingTable
) -> pd.DataFrame:
    """Price each product of test.csv, in its order.

    Returns:
        ``sample_id`` and ``price`` in USD, finite and positive.
    """
    from price_fusion.fusion.predictor import Predictor

    predictor = Predictor(checkpoint, inference.precision)
    prices = predictor.predict_samples(samples, {table.source: table for table in tables})
    return pd.DataFrame({"sample_id": samples["sample_id"].to_numpy(), "price": prices})
