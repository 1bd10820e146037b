"""How good a checkpoint is on rows that nothing was fitted or selected on."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd

from price_fusion.fusion.checkpoint import Checkpoint
from price_fusion.fusion.gate import gate_collapse, gate_report
from price_fusion.fusion.metrics import metrics_by_price, price_metrics, smape_per_product
from price_fusion.fusion.splits import evaluated_split
from price_fusion.fusion.tables.table import EmbeddingTable

logger = logging.getLogger(__name__)

EXTREMES = 20
"""How many of the best and of the worst products are listed."""


def predict_evaluated(
    checkpoint: Checkpoint, samples: pd.DataFrame, split_table: pd.DataFrame, *tables: EmbeddingTable
) -> pd.DataFrame:
    """Price the holdout (the validation rows where there is no holdout).

    Returns:
        per product ``sample_id``, ``split``, ``tuned_on``, ``price``, ``predicted`` and ``absolute_error`` in USD,
        ``smape`` in percent.
    """
    from price_fusion.fusion.predictor import Predictor

    split = evaluated_split(split_table)
    chosen = (split_table["split"] == split).to_numpy()
    predicted = Predictor(checkpoint).predict_samples(samples[chosen], {table.source: table for table in tables})
    price = samples.loc[chosen, "price"].to_numpy()
    return pd.DataFrame(
        {
            "sample_id": samples.loc[chosen, "sample_id"].to_numpy(),
            "split": split,
            "tuned_on": split_table.loc[chosen, "tuned_on"].to_numpy(),
            "price": price,
            "predicted": predicted,
            "absolute_error": np.abs(predicted - price),
            "smape": smape_per_product(predicted, price),
        }
    )


def report_gate(
    checkpoint: Checkpoint, samples: pd.DataFrame, split_table: pd.DataFrame, *tables: EmbeddingTable
) -> dict[str, Any]:
    """How the gate of a mixture divides its weight, on the rows of ``predict_evaluated``; warns if it has collapsed.

    Returns:
        as ``gate_report``, with the split of the rows; ``experts`` is 0 for a model without a gate.
    """
    from price_fusion.fusion.predictor import Predictor

    split = evaluated_split(split_table)
    chosen = samples[(split_table["split"] == split).to_numpy()]
    weights = Predictor(checkpoint).gate_weights(chosen, {table.source: table for table in tables})
    report = gate_report(weights, chosen["price"].to_numpy())
    for problem in gate_collapse(report):
        logger.warning("%s: the gate has collapsed: %s", checkpoint.header.variant, problem)
    return {"split": split, **report}


def summarise(results: pd.DataFrame) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Metrics overall, by price, and the extremes.

    Returns:
        overall metrics with their split and number of rows, and the SMAPE of products whose price some encoder was
        tuned on and of the others; metrics by bin and range of the true price; the best and worst products.
    """
    price, predicted = results["price"].to_numpy(), results["predicted"].to_numpy()
    metrics: dict[str, Any] = {"split": str(results["split"].iloc[0]), "rows": len(results)}
    metrics |= price_metrics(predicted, price)
    metrics["by_tuning"] = {
        label: {"rows": len(part), "smape": float(part["smape"].mean()) if len(part) else None}
        for label, part in (("seen", results[results["tuned_on"]]), ("unseen", results[~results["tuned_on"]]))
    }
    if metrics["split"] != "holdout":
        logger.warning(
            "there is no holdout (splitting.proportions): these metrics are of validation rows, which selected the epoch, "
            "and are better than what new products will see"
        )
    ordered = results.sort_values("smape", kind="stable")
    extremes = pd.concat(
        {"worst": ordered.iloc[::-1].head(EXTREMES), "best": ordered.head(EXTREMES)}, names=["extreme"]
    ).reset_index(level=0)
    return metrics, metrics_by_price(predicted, price), extremes.drop(columns=["split", "tuned_on"])
