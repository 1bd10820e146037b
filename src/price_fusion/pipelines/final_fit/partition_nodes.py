"""The final fit of a variant on tables in partitions: in memory where all rows are there, else on rows that are streamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from price_fusion.data.partitions.partition_alignment import ChosenProducts
from price_fusion.data.table import EmbeddingTable
from price_fusion.lazy import pd
from price_fusion.parameters import ComputeParameters, VariantParameters
from price_fusion.pipelines.final_fit.nodes import final_run, fit_final, labelled_data
from price_fusion.pipelines.training.partition_nodes import all_in_memory


def fit_final_partitioned(
    partitions: ChosenProducts,
    compute: ComputeParameters,
    evaluated: Any,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    variant: VariantParameters,
    folder: Path,
    *tables: EmbeddingTable,
) -> Any:
    """Repeat the training of a checkpoint on all labelled rows, in memory or streamed; arguments as of ``train_partitioned``."""
    if all_in_memory(samples, partitions, compute):
        return fit_final(evaluated, samples, split_table, variant, folder, *tables)
    from price_fusion.selection.final_fit import streamed_final_checkpoint

    labelled = labelled_data(samples, split_table, tables)
    whole = partitions.tables_of(table.source for table in tables)
    return streamed_final_checkpoint(
        evaluated, labelled, variant.train, final_run(folder), (partitions, whole), compute
    )
