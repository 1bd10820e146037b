"""Prices for products that have none."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from price_fusion.data.categories import warn_of_unknown_in_tables
from price_fusion.data.table import EmbeddingTable
from price_fusion.lazy import pd
from price_fusion.metrics.intervals import rows_to_calibrate
from price_fusion.models.unit_prices import UNIT, UNIT_PRICE
from price_fusion.parameters import InferenceParameters, IntervalParameters

logger = logging.getLogger(__name__)

PRODUCTS = "test_products"
"""What the products are called in messages: the catalog's name."""


def price_products(
    checkpoint: Any,
    samples: pd.DataFrame,
    inference: InferenceParameters,
    intervals: IntervalParameters,
    final_fit: bool,
    *tables: EmbeddingTable,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict each product of test.csv, in the order of that file, with a ``Checkpoint`` or an ``Ensemble``.

    Args:
        checkpoint: the model.
        samples: the sample table of the products.
        inference: how to predict.
        intervals: levels.
        final_fit: whether the model is the final fit.
        tables: one per source.

    Returns:
        ``sample_id`` and ``price`` in currency units, finite and positive, and the bounds of intervals if ``inference`` says so; and the
        same with bounds and unit prices.
    """
    from price_fusion.prediction.predictor import Predictor

    log_who_predicts(checkpoint, intervals, final_fit=final_fit)
    predictor = Predictor(checkpoint, inference.precision)
    warn_of_unknown_in_tables({table.source: table.declaration for table in tables}, predictor.model.sources, PRODUCTS)
    prices = predictor.price_samples(samples, {table.source: table for table in tables}, intervals.levels)
    prices.insert(0, "sample_id", samples["sample_id"].to_numpy())
    prices = prices.iloc[np.argsort(samples["place"].to_numpy())].reset_index(drop=True)
    bounded = prices.drop(columns=[UNIT_PRICE, UNIT], errors="ignore")
    return bounded if inference.intervals_in_submission else prices[["sample_id", "price"]], prices


def log_who_predicts(model: Any, intervals: IntervalParameters, *, final_fit: bool) -> None:
    """Say which model predicts new products, on how many rows it was fitted, and why it gives no intervals, if so.

    Args:
        model: that predicts.
        intervals: levels that were asked for.
        final_fit: whether it is the final fit, or else the evaluated model.
    """
    logger.info(
        "%s: new products are predicted by the %s, fitted on %s labelled rows%s",
        model.name,
        "final fit" if final_fit else "evaluated model",
        "an unknown number of" if model.rows is None else f"{model.rows:,}",
        "; the published error is of the evaluated model" if final_fit else "",
    )
    if model.calibration is None:
        rows = model.header.calibration_rows
        logger.warning(
            "%s: price_intervals.csv has no intervals: %s products were there to calibrate them on, %d are needed. The pipelines "
            "predict_kernel_ridge and ensemble give intervals: theirs are calibrated on out-of-fold predictions, of all labelled "
            "products but the holdout.",
            model.name,
            "too few" if rows is None else rows,
            rows_to_calibrate(intervals.levels),
        )
