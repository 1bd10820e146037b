"""From an evaluated model to the one that predicts new products: the same training, on all labelled rows."""

from __future__ import annotations

from typing import Any

import pandas as pd

from price_fusion.fusion.engine.run_folder import RunFolder
from price_fusion.fusion.folds import FoldFolder, FoldModels
from price_fusion.fusion.tables.table import EmbeddingTable
from price_fusion.parameters import ComparisonParameters, VariantParameters


def fit_final(
    evaluated: Any,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    variant: VariantParameters,
    run_folder: RunFolder,
    *tables: EmbeddingTable,
) -> Any:
    """Repeat the training of a checkpoint on all labelled rows; all that decides it is taken from the checkpoint."""
    from price_fusion.fusion.final_fit import final_checkpoint

    return final_checkpoint(evaluated, _labelled(samples, split_table, tables), variant.train, run_folder)


def fit_final_variant(
    ensemble: Any,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    variant: VariantParameters,
    folder: FoldFolder,
    *tables: EmbeddingTable,
) -> FoldModels:
    """Repeat the training of a variant's models in an ensemble."""
    from price_fusion.fusion.final_fit import final_models

    return final_models(ensemble, _labelled(samples, split_table, tables), folder, where=variant.train)


def fit_final_estimator(
    ensemble: Any,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    comparison: ComparisonParameters,
    folder: FoldFolder,
    *tables: EmbeddingTable,
) -> FoldModels:
    """Refit an estimator in an ensemble, with the settings that were chosen."""
    from price_fusion.fusion.estimators import EstimatorOptions
    from price_fusion.fusion.final_fit import final_models

    return final_models(
        ensemble, _labelled(samples, split_table, tables), folder, options=EstimatorOptions.of(comparison)
    )


def blend_final(ensemble: Any, samples: pd.DataFrame, *members_and_tables: FoldModels | EmbeddingTable) -> Any:
    """The ensemble with the final models of its members; its weights and intervals stay.

    Args:
        ensemble: that was evaluated.
        samples: the sample table, labelled.
        members_and_tables: the final models of each member, then the table of each source.
    """
    from price_fusion.fusion.engine.recipe import final_fingerprints
    from price_fusion.fusion.ensemble import final_ensemble

    members = [one for one in members_and_tables if isinstance(one, FoldModels)]
    tables = {one.source: one for one in members_and_tables if isinstance(one, EmbeddingTable)}
    return final_ensemble(ensemble, members, samples["price"].to_numpy(), final_fingerprints(samples, tables))


def _labelled(samples: pd.DataFrame, split_table: pd.DataFrame, tables: tuple[EmbeddingTable, ...]) -> Any:
    from price_fusion.fusion.cross_validation import LabelledData

    return LabelledData(samples, split_table, {table.source: table for table in tables})
