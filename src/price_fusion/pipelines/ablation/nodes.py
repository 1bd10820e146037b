"""What each source is worth to a variant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from price_fusion.data.table import EmbeddingTable
from price_fusion.lazy import pd
from price_fusion.models.folds import FoldFolder
from price_fusion.parameters import AblationParameters, ComparisonParameters, VariantParameters


def permute_sources(
    checkpoint: Any,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    ablation: AblationParameters,
    comparison: ComparisonParameters,
    seed: int,
    *tables: EmbeddingTable,
) -> pd.DataFrame:
    """Rise of a trained model's SMAPE, on the rows of ``predict_evaluated``, with each source or column permuted."""
    from price_fusion.selection.ablation import permutation_importance

    return permutation_importance(
        checkpoint,
        samples,
        split_table,
        {table.source: table for table in tables},
        permutations=ablation.permutations,
        resamples=comparison.resamples,
        seed=seed,
    )


def retrain_without_sources(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    variant: VariantParameters,
    ablation: AblationParameters,
    comparison: ComparisonParameters,
    seed: int,
    folder: Path,
    *tables: EmbeddingTable,
) -> pd.DataFrame:
    """Rise of a variant's out-of-fold SMAPE without each source or group of them. Holdout rows take no part.

    Models are kept in ``ablation`` of ``folder``, that of the variant's models.
    """
    from price_fusion.selection.ablation import retraining_importance
    from price_fusion.selection.cross_validation import LabelledData

    return retraining_importance(
        variant,
        LabelledData(samples, split_table, {table.source: table for table in tables}),
        FoldFolder(folder.name, folder / "ablation"),
        seeds=ablation.seeds,
        retrain=ablation.retrain,
        resamples=comparison.resamples,
        seed=seed,
    )


def draw_importance(permutation: pd.DataFrame, retraining: pd.DataFrame) -> Any:
    """A figure of both."""
    from price_fusion.report.figures import importance

    return importance({"permuted": permutation, "left out": retraining})
