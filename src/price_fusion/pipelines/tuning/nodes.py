"""Hyper-parameters of a variant, found by trying some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from price_fusion.data.table import EmbeddingTable
from price_fusion.lazy import pd
from price_fusion.parameters import TuningParameters, VariantParameters


def tune(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    variant: VariantParameters,
    tuning: TuningParameters,
    seed: int,
    folder: Path,
    *tables: EmbeddingTable,
) -> tuple[dict[str, Any], pd.DataFrame, dict[str, Any]]:
    """Try hyper-parameters of a variant, in ``tuning`` of the folder of its models. Holdout rows take no part.

    Returns:
        the best parameters as ``parameters.yml`` has them, a table of the trials, and a summary.
    """
    from price_fusion.selection.cross_validation import LabelledData
    from price_fusion.selection.study import TuningFolder
    from price_fusion.selection.tuning import tune_variant

    labelled = LabelledData(samples, split_table, {table.source: table for table in tables})
    trials = TuningFolder(folder.name, folder / "tuning")
    tuned = tune_variant(variant, labelled, tuning, trials, seed=seed)
    return {folder.name: tuned.best}, tuned.trials, tuned.summary
