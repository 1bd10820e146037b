"""From tables and a split to a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from price_fusion.data.roles import roles_of_split
from price_fusion.data.table import EmbeddingTable
from price_fusion.lazy import pd
from price_fusion.parameters import IntervalParameters, VariantParameters
from price_fusion.training.run_folder import RUN, RunFolder


def train(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    variant: VariantParameters,
    intervals: IntervalParameters,
    currency: str,
    seed: int,
    folder: Path,
    *tables: EmbeddingTable,
) -> tuple[Any, list[dict[str, Any]]]:
    """Train a variant on the train rows; validation rows select, where training selects, and calibrate intervals.

    Args:
        samples: the sample table, labelled.
        split_table: in the order of ``samples``.
        variant: what to train.
        intervals: levels.
        currency: of the prices.
        seed: of the training.
        folder: of the variant's models, called as it is; ``run`` in it takes the state.
        tables: of each source.

    Returns:
        the checkpoint, and one record per epoch.
    """
    from price_fusion.evaluation.calibration import calibrated
    from price_fusion.training.loader.training_data import training_data
    from price_fusion.training.trainer import train_variant

    by_source = {table.source: table for table in tables}
    roles = roles_of_split(samples, split_table, selects=variant.train.selects, seed=seed)
    data = training_data(samples, split_table, by_source, variant.train.device, variant.train.features_gb, roles)
    trained = train_variant(folder.name, variant, data, seed=seed, run=RunFolder(folder / RUN))
    checkpoint = calibrated(trained.checkpoint, samples, roles.calibrate, by_source, intervals.levels)
    return checkpoint.in_currency(currency), trained.history
