"""From tables and a split to a trained model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from price_fusion.fusion.engine.run_folder import RunFolder
from price_fusion.fusion.tables.table import EmbeddingTable
from price_fusion.parameters import VariantParameters

if TYPE_CHECKING:
    pass


def train(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    variant: VariantParameters,
    seed: int,
    run_folder: RunFolder,
    *tables: EmbeddingTable,
) -> tuple[Any, list[dict[str, Any]]]:
    """Train a variant on the train rows, selecting on the validation rows.

    Returns:
        the checkpoint of the best epoch, and one record per epoch.
    """
    from price_fusion.fusion.engine.trainer import train_variant
    from price_fusion.fusion.engine.training_data import training_data

    by_source = {table.source: table for table in tables}
    data = training_data(samples, split_table, by_source, variant.train.device, variant.train.features_gb)
    trained = train_variant(run_folder.variant, variant, data, seed=seed, run=run_folder)
    return trained.checkpoint, trained.history
