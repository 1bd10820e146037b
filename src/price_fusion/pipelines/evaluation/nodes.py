"""How good a checkpoint is on rows not used for fitting or selection."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from price_fusion.data.checks.frame_checks import refuse_other_products
from price_fusion.data.roles import rows_to_report
from price_fusion.data.splits import evaluated_split
from price_fusion.data.table import EmbeddingTable
from price_fusion.evaluation.amount_effect import amount_effect
from price_fusion.evaluation.evaluated import EXTREMES, evaluated_products
from price_fusion.evaluation.gate import gate_collapse, gate_report
from price_fusion.lazy import pd
from price_fusion.metrics.intervals import coverage_summary, coverage_table, interval_columns
from price_fusion.metrics.price_groups import PriceGroups
from price_fusion.metrics.price_metrics import metrics_by_price, price_metrics
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.parameters import IntervalParameters

logger = logging.getLogger(__name__)


def predict_evaluated(
    checkpoint: Any,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    intervals: IntervalParameters,
    *tables: EmbeddingTable,
) -> pd.DataFrame:
    """Predict the holdout (the validation rows where there is no holdout) with a ``Checkpoint`` or an ``Ensemble``.

    Returns:
        per product ``sample_id``, ``split``, ``tuned_on``, ``price``, ``predicted`` and ``absolute_error`` in currency units,
        ``smape`` in percent; of a calibrated model, the bounds of its intervals in currency units; and where a source has amounts, unit
        prices and what twice the amount would cost.
    """
    from price_fusion.prediction.predictor import Predictor

    refuse_other_products(samples, split_table)
    chosen = rows_to_report(split_table, checkpoint)
    by_source = {table.source: table for table in tables}
    predicted = Predictor(checkpoint).price_samples(samples.iloc[chosen], by_source, intervals.levels, twice=True)
    products = samples.iloc[chosen].assign(tuned_on=split_table["tuned_on"].to_numpy()[chosen])
    return evaluated_products(products, evaluated_split(split_table), predicted)


def measure_intervals(
    results: pd.DataFrame, intervals: IntervalParameters, price_groups: dict[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """How often intervals hold the true price, and how wide they are.

    Returns:
        ``coverage_table`` and its summary; both empty for a model without intervals.
    """
    names = [name for bounds in interval_columns(intervals.levels) for name in bounds]
    if not set(names) <= set(results):
        return pd.DataFrame(columns=["level", "group", "rows", "coverage", "mean_width", "relative_width"]), {}
    bounds = results[names].to_numpy(np.float64).reshape(len(results), -1, 2)
    groups = PriceGroups.model_validate(price_groups)
    table = coverage_table(results["predicted"], results["price"], bounds, intervals.levels, groups)
    split = str(results["split"].iloc[0])
    return table, {"split": split, "currency": groups.currency, "levels": coverage_summary(table)}


def report_gate(
    checkpoint: Checkpoint,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    price_groups: dict[str, Any],
    *tables: EmbeddingTable,
) -> dict[str, Any]:
    """How the gate of a mixture divides its weight, on the rows of ``predict_evaluated``; warns if it has collapsed.

    Returns:
        as ``gate_report``, with the split of the rows; ``experts`` is 0 for a model without a gate.
    """
    from price_fusion.prediction.predictor import Predictor

    refuse_other_products(samples, split_table)
    chosen = samples.iloc[rows_to_report(split_table, checkpoint)]
    weights = Predictor(checkpoint).gate_weights(chosen, {table.source: table for table in tables})
    report = gate_report(weights, chosen["price"].to_numpy(), PriceGroups.model_validate(price_groups))
    for problem in gate_collapse(report):
        logger.warning("%s: the gate has collapsed: %s", checkpoint.header.variant, problem)
    return {"split": evaluated_split(split_table), **report}


def summarise(results: pd.DataFrame, price_groups: dict[str, Any]) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Metrics overall, by price, and the extremes.

    Returns:
        overall metrics with their split and number of rows, and the SMAPE of products whose price some encoder was
        tuned on and of the others, and what twice the amount does to prices; metrics by bin and range of the true
        price; the best and worst products.
    """
    price, predicted = results["price"].to_numpy(), results["predicted"].to_numpy()
    groups = PriceGroups.model_validate(price_groups)
    metrics: dict[str, Any] = {"split": str(results["split"].iloc[0]), "rows": len(results)}
    metrics |= {"currency": groups.currency}
    metrics |= price_metrics(predicted, price)
    metrics["by_tuning"] = {
        label: {"rows": len(part), "smape": float(part["smape"].mean()) if len(part) else None}
        for label, part in (("seen", results[results["tuned_on"]]), ("unseen", results[~results["tuned_on"]]))
    }
    if effect := amount_effect(results):
        metrics["twice_the_amount"] = effect
    if metrics["split"] != "holdout":
        logger.warning(
            "there is no holdout (splitting.proportions): these metrics are of validation rows, which may have selected the "
            "epoch, which intervals are calibrated on and an ensemble's members are fitted on; they are better than what "
            "new products will see"
        )
    ordered = results.sort_values("smape", kind="stable")
    listed = min(EXTREMES, (len(ordered) + 1) // 2)  # of few products, none is among the best and the worst
    extremes = pd.concat(
        {"worst": ordered.iloc[::-1].head(listed), "best": ordered.head(len(ordered) - listed).head(EXTREMES)},
        names=["extreme"],
    ).reset_index(level=0)
    return metrics, metrics_by_price(predicted, price, groups), extremes.drop(columns=["split", "tuned_on"])
