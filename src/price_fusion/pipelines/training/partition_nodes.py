"""Training on tables in partitions: in memory where all rows are there, else on rows that are streamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from price_fusion.data.partitions.partition_alignment import ChosenProducts
from price_fusion.data.table import EmbeddingTable
from price_fusion.lazy import pd
from price_fusion.parameters import ComputeParameters, IntervalParameters, VariantParameters
from price_fusion.pipelines.training.nodes import train
from price_fusion.storage.partitions.parts import Partitions
from price_fusion.training.run_folder import RUN, RunFolder


def train_partitioned(
    partitions: ChosenProducts,
    compute: ComputeParameters,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    variant: VariantParameters,
    intervals: IntervalParameters,
    currency: str,
    seed: int,
    folder: Path,
    *tables: EmbeddingTable,
) -> tuple[Any, list[dict[str, Any]]]:
    """Train a variant: in memory where all of its labelled products are there, else on train rows that are streamed.

    Args:
        partitions: all labelled products that it may use, with the tables of its sources.
        compute: who trains.
        samples: those of them that are in memory.
        split_table: likewise.
        variant: what to train.
        intervals: levels.
        currency: of the prices.
        seed: of the training.
        folder: of the variant's models, called as it is; ``run`` in it takes the state.
        tables: those in memory, one per source.

    Returns:
        the checkpoint, calibrated where there are enough rows for it, and one record per epoch.
    """
    if all_in_memory(samples, partitions, compute):
        return train(samples, split_table, variant, intervals, currency, seed, folder, *tables)
    from price_fusion.evaluation.calibration import calibrated_on_partitions
    from price_fusion.training.loader.partition_data import StreamedRows, calibration_half
    from price_fusion.training.processes.partition_training import train_partitions
    from price_fusion.training.recipe import data_fingerprints

    whole = partitions.tables_of(table.source for table in tables)
    rows = StreamedRows(data_fingerprints(samples, split_table, {table.source: table for table in tables}))
    name, half = folder.name, calibration_half(variant)
    run = RunFolder(folder / RUN)
    trained = train_partitions(name, variant, partitions, whole, rows, seed=seed, run=run, compute=compute)
    checkpoint = calibrated_on_partitions(
        trained.checkpoint, partitions, whole, half=half, levels=intervals.levels, seed=seed
    )
    return checkpoint.in_currency(currency), trained.history


def all_in_memory(samples: pd.DataFrame, partitions: Partitions, compute: ComputeParameters) -> bool:
    """Whether a training needs no streaming. Several processes share the rows of partitions."""
    return compute.training_processes == 1 and len(samples) == partitions.rows
