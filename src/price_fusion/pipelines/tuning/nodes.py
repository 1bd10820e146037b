"""Hyper-parameters of a variant, found by trying some."""

from __future__ import annotations

from typing import Any

from price_fusion.data.table import EmbeddingTable
from price_fusion.lazy import pd
from price_fusion.parameters import TuningParameters, VariantParameters
from price_fusion.selection.study import TuningFolder


def tune(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    variant: VariantParameters,
    tuning: TuningParameters,
    seed: int,
    folder: TuningFolder,
    *tables: EmbeddingTable,
) -> tuple[dict[str, Any], pd.DataFrame, dict[str, Any]]:
    """Try hyper-parameters of a variant. Holdout rows take no part.

    Returns:
        the best parameters as ``parameters.yml`` has them, a table of the trials, and a summary.
    """
    from price_fusion.selection.cross_validation import LabelledData
    from price_fusion.selection.tuning import tune_variant

    labelled = LabelledData(samples, split_table, {table.source: table for table in tables})
    tuned = tune_variant(variant, labelled, tuning, folder, seed=seed)
    return {folder.variant: tuned.best}, tuned.trials, tuned.summary
