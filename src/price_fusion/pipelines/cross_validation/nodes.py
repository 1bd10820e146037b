"""Models per fold and seed, and what they say of rows that they did not see."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from price_fusion.data.ids import rows_of
from price_fusion.data.table import EmbeddingTable
from price_fusion.lazy import pd
from price_fusion.models.folds import FOLDS, FoldFolder, FoldModels
from price_fusion.parameters import ComparisonParameters, CrossValidationParameters, VariantParameters

logger = logging.getLogger(__name__)


def cross_validate(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    variant: VariantParameters,
    cross_validation: CrossValidationParameters,
    seed: int,
    folder: Path,
    *tables: EmbeddingTable,
) -> FoldModels:
    """Train a variant for each fold and seed, in ``folds`` of the folder of its models. Holdout rows take no part."""
    from price_fusion.selection.cross_validation import LabelledData, cross_validate_variant

    labelled = LabelledData(samples, split_table, {table.source: table for table in tables})
    folds = FoldFolder(folder.name, folder / FOLDS)
    return cross_validate_variant(variant, labelled, folds, seeds=cross_validation.seeds, seed=seed)


def predict_out_of_fold(
    models: FoldModels, samples: pd.DataFrame, split_table: pd.DataFrame, *tables: EmbeddingTable
) -> pd.DataFrame:
    """Predict each fold's rows with that fold's models.

    Returns:
        ``sample_id``, ``fold``, ``price``, ``predicted`` and ``seed_<n>`` in currency units; no rows of a member that failed.
    """
    from price_fusion.selection.cross_validation import LabelledData, out_of_fold

    return out_of_fold(models, LabelledData(samples, split_table, {table.source: table for table in tables}))


def measure_folds(
    predictions: pd.DataFrame, samples: pd.DataFrame, comparison: ComparisonParameters, seed: int, currency: str
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Metrics of out-of-fold predictions, overall and by fold."""
    from price_fusion.metrics.fold_metrics import fold_metrics

    groups = samples["group_key"].to_numpy()[rows_of(predictions["sample_id"], samples["sample_id"])]
    metrics, by_fold = fold_metrics(predictions, groups, resamples=comparison.resamples, seed=seed)
    logger.info(
        "out of fold: SMAPE %.2f %% [%.2f, %.2f] on %s rows, %.2f +- %.2f %% over %d folds",
        metrics["smape"],
        metrics["smape_low"],
        metrics["smape_high"],
        f"{metrics['rows']:,}",
        metrics["smape_fold_mean"],
        metrics["smape_fold_deviation"],
        metrics["folds"],
    )
    return metrics | {"currency": currency}, by_fold
