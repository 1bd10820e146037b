"""Nodes that pass drafts and manifests of tables in partitions. Saving a draft computes and writes it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from price_fusion.data.alignment import Policy
from price_fusion.data.ids import Ids
from price_fusion.data.partitions.parquet_embeddings import ParquetEmbeddings
from price_fusion.data.partitions.partition_alignment import PartitionAlignment, alignment_plan, merged_alignment
from price_fusion.data.partitions.product_files import ProductFiles
from price_fusion.data.partitions.product_partitions import product_plan
from price_fusion.data.partitions.scatter import draft_column_partitions, draft_table_partitions
from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import EmbeddingTable
from price_fusion.lazy import pd
from price_fusion.metrics.intervals import interval_columns
from price_fusion.parameters import (
    ColumnSourceParameters,
    ComputeParameters,
    InferenceParameters,
    IngestionParameters,
    IntervalParameters,
    SourceParameters,
    SplittingParameters,
    VariantParameters,
)
from price_fusion.pipelines.final_fit.nodes import final_run
from price_fusion.pipelines.final_fit.nodes import fit_final as fit_final_in_memory
from price_fusion.pipelines.inference.nodes import log_who_predicts
from price_fusion.pipelines.training.nodes import train as train_in_memory
from price_fusion.prediction.partition_scoring import PartitionPrediction, packed
from price_fusion.storage.partitions.drafts import PartitionDraft
from price_fusion.storage.partitions.ordered import OrderedRows
from price_fusion.storage.partitions.parts import Partitions
from price_fusion.training.run_folder import RUN, RunFolder

logger = logging.getLogger(__name__)


# --- ingestion ---------------------------------------------------------------------------------------------------------


def deal_out(
    raw: RawEmbeddings | ParquetEmbeddings,
    source: SourceParameters,
    ingestion: IngestionParameters,
    compute: ComputeParameters,
) -> PartitionDraft:
    """Raw embeddings, to be dealt out to partitions."""
    return draft_table_partitions(raw, source, dtype=ingestion.dtype, compute=compute)


def deal_out_labelled(
    files: ProductFiles,
    splitting: SplittingParameters,
    seed: int,
    compute: ComputeParameters,
    spill: Path,
    **tuned_on: Ids,
) -> PartitionDraft:
    """Labelled products, to be grouped, split and dealt out; ``tuned_on`` as of the stage ``splitting``."""
    folder = _spill(compute, spill)
    plan = product_plan(files, compute=compute, spill=folder, splitting=splitting, tuned_on=tuned_on, seed=seed)
    return PartitionDraft(plan, compute)


def deal_out_unlabelled(files: ProductFiles, seed: int, compute: ComputeParameters, spill: Path) -> PartitionDraft:
    """Products to be predicted, to be dealt out."""
    folder = _spill(compute, spill)
    return PartitionDraft(
        product_plan(files, compute=compute, spill=folder, splitting=None, tuned_on={}, seed=seed), compute
    )


def read_columns(products: Partitions, source: ColumnSourceParameters, compute: ComputeParameters) -> PartitionDraft:
    """A column source of products in partitions."""
    return draft_column_partitions(products, source, products.origin, compute=compute)


def align_labelled(
    products: Partitions, ingestion: IngestionParameters, compute: ComputeParameters, *tables: TablePartitions
) -> PartitionDraft:
    """Samples of the labelled products."""
    by_source = {table.source: table for table in tables}
    alignment = PartitionAlignment(products, by_source, ingestion.policy, ingestion.unknown_products, "train_products")
    return PartitionDraft(alignment_plan(alignment), compute)


def align_unlabelled(
    products: Partitions, ingestion: IngestionParameters, compute: ComputeParameters, *tables: TablePartitions
) -> PartitionDraft:
    """Samples of the products to be predicted. Unless ``strict``, each of them is kept."""
    by_source = {table.source: table for table in tables}
    policy = policy_of_unlabelled(ingestion)
    return PartitionDraft(
        alignment_plan(PartitionAlignment(products, by_source, policy, "keep", "test_products")), compute
    )


def policy_of_unlabelled(ingestion: IngestionParameters) -> Policy:
    """Unless ``strict``, each product is to be predicted."""
    return "strict" if ingestion.policy == "strict" else "keep"


def report_unlabelled(samples: Partitions, ingestion: IngestionParameters) -> dict[str, Any]:
    """Alignment report of the products to be predicted."""
    policy = policy_of_unlabelled(ingestion)
    report = merged_alignment(samples, policy, "test_products")
    if report["rows_in_no_source"]:
        logger.warning(
            "%d product(s) to be predicted are in no source of embeddings: they are predicted from their columns where a variant "
            "reads some, and else get the median price of the train rows",
            report["rows_in_no_source"],
        )
    return report | {"suspicions": None}


# --- conversion --------------------------------------------------------------------------------------------------------


def train(
    partitions: Partitions,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    variant: VariantParameters,
    intervals: IntervalParameters,
    currency: str,
    seed: int,
    compute: ComputeParameters,
    folder: Path,
    *tables: TablePartitions | EmbeddingTable,
) -> tuple[Any, list[dict[str, Any]]]:
    """Train a variant: in memory where all labelled products are there, else on train rows that are streamed.

    Args:
        partitions: the sample table in partitions.
        samples: the products that are in memory.
        split_table: likewise.
        variant: what to train.
        intervals: levels.
        currency: of the prices.
        seed: of the training.
        compute: who trains.
        folder: of the variant's models, called as it is; ``run`` in it takes the state.
        tables: of each source in partitions, then in the same order those in memory.

    Returns:
        the checkpoint, calibrated where there are enough rows for it, and one record per epoch.
    """
    whole, gathered = _halves(tables)
    if _all_in_memory(samples, partitions, compute):
        return train_in_memory(samples, split_table, variant, intervals, currency, seed, folder, *gathered.values())
    from price_fusion.evaluation.partition_calibration import calibrated_on_partitions
    from price_fusion.training.loader.partition_data import StreamedRows, calibration_half
    from price_fusion.training.processes.partition_training import train_partitions
    from price_fusion.training.recipe import data_fingerprints

    rows = StreamedRows(data_fingerprints(samples, split_table, gathered))
    name, half = folder.name, calibration_half(variant)
    run = RunFolder(name, folder / RUN)
    trained = train_partitions(name, variant, partitions, whole, rows, seed=seed, run=run, compute=compute)
    checkpoint = calibrated_on_partitions(
        trained.checkpoint, partitions, whole, half=half, levels=intervals.levels, seed=seed
    )
    return checkpoint.in_currency(currency), trained.history


def fit_final(
    evaluated: Any,
    partitions: Partitions,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    variant: VariantParameters,
    compute: ComputeParameters,
    folder: Path,
    *tables: TablePartitions | EmbeddingTable,
) -> Any:
    """Repeat the training of a checkpoint on all labelled rows, in memory or streamed; arguments as of ``train``."""
    whole, gathered = _halves(tables)
    if _all_in_memory(samples, partitions, compute):
        return fit_final_in_memory(evaluated, samples, split_table, variant, folder, *gathered.values())
    from price_fusion.selection.cross_validation import LabelledData
    from price_fusion.selection.final_fit import streamed_final_checkpoint

    labelled = LabelledData(samples, split_table, gathered)
    return streamed_final_checkpoint(
        evaluated, labelled, variant.train, final_run(folder), (partitions, whole), compute
    )


def _all_in_memory(samples: pd.DataFrame, partitions: Partitions, compute: ComputeParameters) -> bool:
    """Whether a training needs no streaming. Several processes share the rows of partitions."""
    return compute.training_processes == 1 and len(samples) == partitions.rows


def _halves(
    tables: Sequence[TablePartitions | EmbeddingTable],
) -> tuple[dict[str, TablePartitions], dict[str, EmbeddingTable]]:
    """Tables in partitions and tables in memory, by source."""
    whole = {table.source: table for table in tables if isinstance(table, TablePartitions)}
    return whole, {table.source: table for table in tables if isinstance(table, EmbeddingTable)}


# --- inference ---------------------------------------------------------------------------------------------------------


def price(
    checkpoint: Any,
    samples: Partitions,
    inference: InferenceParameters,
    intervals: IntervalParameters,
    final_fit: bool,
    compute: ComputeParameters,
    *tables: TablePartitions,
) -> PartitionDraft:
    """Prices of the unlabelled products, partition by partition, by a ``Checkpoint`` or an ``Ensemble``."""
    log_who_predicts(checkpoint, final_fit=final_fit)
    levels = tuple(intervals.levels) if checkpoint.calibration is not None else ()
    by_source = {table.source: table for table in tables}
    task = PartitionPrediction(packed(checkpoint, inference.precision), samples, by_source, levels)
    return PartitionDraft(task.plan(), compute)


def put_in_order(
    priced: Partitions, inference: InferenceParameters, compute: ComputeParameters, spill: Path
) -> tuple[OrderedRows, OrderedRows]:
    """The submission in the order of the product file, and the same with the bounds of intervals and unit prices."""
    levels = priced.metadata["levels"]
    bounded = ("sample_id", "price", *(name for bounds in interval_columns(levels) for name in bounds))
    submission = bounded if inference.intervals_in_submission else bounded[:2]
    columns = (*bounded, *priced.metadata["unit_prices"])
    folder = _spill(compute, spill)
    return OrderedRows(priced, submission, compute, folder), OrderedRows(priced, columns, compute, folder)


def _spill(compute: ComputeParameters, otherwise: Path) -> Path:
    return Path(compute.spill) if compute.spill else otherwise
