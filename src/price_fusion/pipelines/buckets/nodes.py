"""Nodes that pass drafts and manifests of tables in buckets. Saving a draft computes and writes it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from price_fusion.data.alignment import Policy
from price_fusion.data.buckets.bucket_alignment import BucketAlignment, alignment_plan, merged_alignment
from price_fusion.data.buckets.convert import draft_from_table, draft_to_table
from price_fusion.data.buckets.parquet_embeddings import ParquetEmbeddings
from price_fusion.data.buckets.product_buckets import product_plan
from price_fusion.data.buckets.product_files import ProductFiles
from price_fusion.data.buckets.scatter import draft_column_buckets, draft_table_buckets
from price_fusion.data.buckets.table_buckets import TableBuckets
from price_fusion.data.ids import Ids
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import EmbeddingTable, TableDraft
from price_fusion.lazy import pd
from price_fusion.metrics.intervals import interval_columns
from price_fusion.parameters import (
    ColumnSourceParameters,
    EngineParameters,
    InferenceParameters,
    IngestionParameters,
    IntervalParameters,
    SourceParameters,
    SplittingParameters,
    VariantParameters,
)
from price_fusion.pipelines.final_fit.nodes import fit_final as fit_final_in_memory
from price_fusion.pipelines.inference.nodes import log_who_predicts
from price_fusion.pipelines.training.nodes import train as train_in_memory
from price_fusion.prediction.bucket_scoring import BucketPrediction, packed
from price_fusion.storage.buckets.drafts import BucketDraft
from price_fusion.storage.buckets.ordered import OrderedRows
from price_fusion.storage.buckets.parts import Buckets
from price_fusion.training.run_folder import RunFolder

logger = logging.getLogger(__name__)


# --- ingestion ---------------------------------------------------------------------------------------------------------


def deal_out(
    raw: RawEmbeddings | ParquetEmbeddings,
    source: SourceParameters,
    ingestion: IngestionParameters,
    engine: EngineParameters,
) -> BucketDraft:
    """Raw embeddings, to be dealt out to buckets."""
    return draft_table_buckets(raw, source, dtype=ingestion.dtype, engine=engine)


def deal_out_labelled(
    files: ProductFiles,
    splitting: SplittingParameters,
    seed: int,
    engine: EngineParameters,
    spill: Path,
    **tuned_on: Ids,
) -> BucketDraft:
    """Labelled products, to be grouped, split and dealt out; ``tuned_on`` as of the stage ``splitting``."""
    folder = _spill(engine, spill)
    plan = product_plan(files, engine=engine, spill=folder, splitting=splitting, tuned_on=tuned_on, seed=seed)
    return BucketDraft(plan, engine)


def deal_out_unlabelled(files: ProductFiles, seed: int, engine: EngineParameters, spill: Path) -> BucketDraft:
    """Products to be predicted, to be dealt out."""
    folder = _spill(engine, spill)
    return BucketDraft(product_plan(files, engine=engine, spill=folder, splitting=None, tuned_on={}, seed=seed), engine)


def read_columns(products: Buckets, source: ColumnSourceParameters, engine: EngineParameters) -> BucketDraft:
    """A column source of products in buckets."""
    return draft_column_buckets(products, source, products.origin, engine=engine)


def align_labelled(
    products: Buckets, ingestion: IngestionParameters, engine: EngineParameters, *tables: TableBuckets
) -> BucketDraft:
    """Samples of the labelled products."""
    by_source = {table.source: table for table in tables}
    alignment = BucketAlignment(products, by_source, ingestion.policy, ingestion.unknown_products, "train_products")
    return BucketDraft(alignment_plan(alignment), engine)


def align_unlabelled(
    products: Buckets, ingestion: IngestionParameters, engine: EngineParameters, *tables: TableBuckets
) -> BucketDraft:
    """Samples of the products to be predicted. Unless ``strict``, each of them is kept."""
    by_source = {table.source: table for table in tables}
    policy = policy_of_unlabelled(ingestion)
    return BucketDraft(alignment_plan(BucketAlignment(products, by_source, policy, "keep", "test_products")), engine)


def policy_of_unlabelled(ingestion: IngestionParameters) -> Policy:
    """Unless ``strict``, each product is to be predicted."""
    return "strict" if ingestion.policy == "strict" else "keep"


def report_unlabelled(samples: Buckets, ingestion: IngestionParameters) -> dict[str, Any]:
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


def table_to_buckets(table: EmbeddingTable, engine: EngineParameters) -> BucketDraft:
    """A table of the in-memory engine, to be dealt out."""
    return draft_from_table(table, engine=engine)


def buckets_to_table(
    tables: TableBuckets, ingestion: IngestionParameters, engine: EngineParameters, spill: Path
) -> TableDraft:
    """A table in buckets, to be written as one of the in-memory engine."""
    return draft_to_table(tables, _spill(engine, spill), rows_per_shard=ingestion.rows_per_shard)


# --- training ----------------------------------------------------------------------------------------------------------


def train(
    buckets: Buckets,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    variant: VariantParameters,
    intervals: IntervalParameters,
    currency: str,
    seed: int,
    engine: EngineParameters,
    run_folder: RunFolder,
    *tables: TableBuckets | EmbeddingTable,
) -> tuple[Any, list[dict[str, Any]]]:
    """Train a variant: in memory where all labelled products are there, else on train rows that are streamed.

    Args:
        buckets: the sample table in buckets.
        samples: the products that are in memory.
        split_table: likewise.
        variant: what to train.
        intervals: levels.
        currency: of the prices.
        seed: of the training.
        engine: who trains.
        run_folder: takes the state.
        tables: of each source in buckets, then in the same order those in memory.

    Returns:
        the checkpoint, calibrated where there are enough rows for it, and one record per epoch.
    """
    whole, gathered = _halves(tables)
    if _all_in_memory(samples, buckets, engine):
        return train_in_memory(samples, split_table, variant, intervals, currency, seed, run_folder, *gathered.values())
    from price_fusion.evaluation.bucket_calibration import calibrated_on_buckets
    from price_fusion.training.loader.bucket_data import StreamedRows, calibration_half
    from price_fusion.training.processes.bucket_training import train_buckets
    from price_fusion.training.recipe import data_fingerprints

    rows = StreamedRows(data_fingerprints(samples, split_table, gathered))
    name, half = run_folder.variant, calibration_half(variant)
    trained = train_buckets(name, variant, buckets, whole, rows, seed=seed, run=run_folder, engine=engine)
    checkpoint = calibrated_on_buckets(
        trained.checkpoint, buckets, whole, half=half, levels=intervals.levels, seed=seed
    )
    return checkpoint.in_currency(currency), trained.history


def fit_final(
    evaluated: Any,
    buckets: Buckets,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    variant: VariantParameters,
    engine: EngineParameters,
    run_folder: RunFolder,
    *tables: TableBuckets | EmbeddingTable,
) -> Any:
    """Repeat the training of a checkpoint on all labelled rows, in memory or streamed; arguments as of ``train``."""
    whole, gathered = _halves(tables)
    if _all_in_memory(samples, buckets, engine):
        return fit_final_in_memory(evaluated, samples, split_table, variant, run_folder, *gathered.values())
    from price_fusion.selection.cross_validation import LabelledData
    from price_fusion.selection.final_fit import streamed_final_checkpoint

    labelled = LabelledData(samples, split_table, gathered)
    return streamed_final_checkpoint(evaluated, labelled, variant.train, run_folder, (buckets, whole), engine)


def _all_in_memory(samples: pd.DataFrame, buckets: Buckets, engine: EngineParameters) -> bool:
    """Whether a training needs no streaming. Several processes share the rows of buckets."""
    return engine.training_processes == 1 and len(samples) == buckets.rows


def _halves(
    tables: Sequence[TableBuckets | EmbeddingTable],
) -> tuple[dict[str, TableBuckets], dict[str, EmbeddingTable]]:
    """Tables in buckets and tables in memory, by source."""
    whole = {table.source: table for table in tables if isinstance(table, TableBuckets)}
    return whole, {table.source: table for table in tables if isinstance(table, EmbeddingTable)}


# --- inference ---------------------------------------------------------------------------------------------------------


def price(
    checkpoint: Any,
    samples: Buckets,
    inference: InferenceParameters,
    intervals: IntervalParameters,
    final_fit: bool,
    engine: EngineParameters,
    *tables: TableBuckets,
) -> BucketDraft:
    """Prices of the unlabelled products, bucket by bucket, by a ``Checkpoint`` or an ``Ensemble``."""
    log_who_predicts(checkpoint, final_fit=final_fit)
    levels = tuple(intervals.levels) if checkpoint.calibration is not None else ()
    by_source = {table.source: table for table in tables}
    task = BucketPrediction(packed(checkpoint, inference.precision), samples, by_source, levels)
    return BucketDraft(task.plan(), engine)


def put_in_order(
    priced: Buckets, inference: InferenceParameters, engine: EngineParameters, spill: Path
) -> tuple[OrderedRows, OrderedRows]:
    """The submission in the order of the product file, and the same with the bounds of intervals and unit prices."""
    levels = priced.metadata["levels"]
    bounded = ("sample_id", "price", *(name for bounds in interval_columns(levels) for name in bounds))
    submission = bounded if inference.intervals_in_submission else bounded[:2]
    columns = (*bounded, *priced.metadata["unit_prices"])
    folder = _spill(engine, spill)
    return OrderedRows(priced, submission, engine, folder), OrderedRows(priced, columns, engine, folder)


def _spill(engine: EngineParameters, otherwise: Path) -> Path:
    return Path(engine.spill) if engine.spill else otherwise
