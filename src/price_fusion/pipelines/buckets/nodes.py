"""Nodes that pass drafts and manifests of tables in buckets. Saving a draft computes and writes it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from price_fusion.data.alignment import Policy
from price_fusion.data.buckets.bucket_alignment import (
    BucketAlignment,
    alignment_plan,
    merged_alignment,
    merged_split,
    train_quantiles,
)
from price_fusion.data.buckets.convert import draft_from_table, draft_to_table
from price_fusion.data.buckets.parquet_embeddings import ParquetEmbeddings
from price_fusion.data.buckets.product_buckets import product_plan
from price_fusion.data.buckets.product_files import ProductFiles
from price_fusion.data.buckets.scatter import draft_column_buckets, draft_table_buckets, frame_of
from price_fusion.data.buckets.table_buckets import TableBuckets
from price_fusion.data.ids import Ids
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import EmbeddingTable, TableDraft
from price_fusion.evaluation.evaluated import EXTREMES
from price_fusion.lazy import pd
from price_fusion.metrics.aggregates import (
    amount_effect_of,
    coverage_table_of,
    merged_extremes,
    merged_moments,
    metrics_by_price_of,
    metrics_of,
)
from price_fusion.metrics.intervals import coverage_summary, interval_columns
from price_fusion.metrics.price_groups import PriceGroups
from price_fusion.parameters import (
    ColumnSourceParameters,
    EngineParameters,
    InferenceParameters,
    IngestionParameters,
    IntervalParameters,
    ModelCardParameters,
    PriceGroupParameters,
    SourceParameters,
    SplittingParameters,
    VariantParameters,
)
from price_fusion.pipelines.export.nodes import export as export_and_check
from price_fusion.pipelines.reporting.nodes import write_variant_card
from price_fusion.prediction.bucket_scoring import (
    BucketEvaluation,
    BucketPrediction,
    evaluation_plan,
    packed,
    prediction_plan,
    reported_split,
)
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


def report_labelled(
    samples: Buckets, ingestion: IngestionParameters, currency: str, price_groups: PriceGroupParameters
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Alignment and split report of the labelled products, and the groups of prices that figures are given for."""
    alignment = merged_alignment(samples, ingestion.policy, "train_products") | {"suspicions": None}
    groups = PriceGroups.of_quantiles(train_quantiles(samples), currency, price_groups)
    return alignment, merged_split(samples) | {"currency": currency}, groups.model_dump(mode="json")


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
    samples: Buckets,
    report: dict[str, Any],
    variant: VariantParameters,
    intervals: IntervalParameters,
    currency: str,
    seed: int,
    engine: EngineParameters,
    run_folder: RunFolder,
    *tables: TableBuckets,
) -> tuple[Any, list[dict[str, Any]]]:
    """Train a variant on buckets; ``report``, of the alignment, is there to be waited for.

    Returns:
        the checkpoint, calibrated where there are enough rows for it, and one record per epoch.
    """
    from price_fusion.evaluation.bucket_calibration import calibrated_on_buckets
    from price_fusion.training.loader.bucket_data import calibration_half
    from price_fusion.training.processes.bucket_training import train_buckets

    by_source = {table.source: table for table in tables}
    trained = train_buckets(run_folder.variant, variant, samples, by_source, seed=seed, run=run_folder, engine=engine)
    half = calibration_half(variant)
    checkpoint = calibrated_on_buckets(
        trained.checkpoint, samples, by_source, half=half, levels=intervals.levels, seed=seed
    )
    return checkpoint.in_currency(currency), trained.history


# --- evaluation --------------------------------------------------------------------------------------------------------


def evaluate(
    checkpoint: Any,
    samples: Buckets,
    intervals: IntervalParameters,
    price_groups: dict[str, Any],
    engine: EngineParameters,
    *tables: TableBuckets,
) -> BucketDraft:
    """Prices of the holdout (the validation rows where there is none), bucket by bucket."""
    by_source = {table.source: table for table in tables}
    split, levels = reported_split(samples), tuple(intervals.levels)
    task = BucketEvaluation(
        packed_model(checkpoint), samples, by_source, levels, split, PriceGroups.model_validate(price_groups)
    )
    return BucketDraft(evaluation_plan(task, checkpoint.data), engine)


def merge_evaluation(
    evaluated: Buckets, intervals: IntervalParameters, price_groups: dict[str, Any]
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Figures of all buckets.

    Returns:
        metrics; metrics by price; best and worst products; coverage of intervals, and its summary: as the stage
        ``evaluation`` gives them. The median relative width of intervals is right to 0.1 %.
    """
    groups = PriceGroups.model_validate(price_groups)
    parts, split = evaluated.summaries, evaluated.metadata["split"]
    total = merged_moments(part["all"] for part in parts)
    metrics = {"split": split, "rows": int(total["rows"]), "currency": groups.currency, **metrics_of(total)}
    metrics["by_tuning"] = _by_tuning(parts)
    if effect := amount_effect_of([part["ratios_of_twice"] for part in parts]):
        metrics["twice_the_amount"] = effect
    if split != "holdout":
        logger.warning(
            "there is no holdout (splitting.proportions): these metrics are of validation rows, which may have selected the "
            "epoch, and which intervals are calibrated on; they are better than what new products will see"
        )
    extremes = merged_extremes([part["extremes"] for part in parts], EXTREMES).drop(columns="row")
    calibrated = [part["coverage"] for part in parts if part["coverage"] is not None]
    coverage = coverage_table_of(calibrated, intervals.levels if calibrated else (), groups)
    summary = {"split": split, "currency": groups.currency, "levels": coverage_summary(coverage)} if calibrated else {}
    return metrics, metrics_by_price_of([part["by_price"] for part in parts], groups), extremes, coverage, summary


# --- inference ---------------------------------------------------------------------------------------------------------


def write_card(*, about: ModelCardParameters, **saved: Any) -> str:
    """The model card of a variant: it is the evaluated model that predicts."""
    return write_variant_card(**saved, about=about, final_fit=False)


def price(
    checkpoint: Any,
    samples: Buckets,
    inference: InferenceParameters,
    intervals: IntervalParameters,
    final_fit: bool,
    engine: EngineParameters,
    *tables: TableBuckets,
) -> BucketDraft:
    """Prices of the unlabelled products, bucket by bucket, by the evaluated model: a final fit has all rows in memory."""
    if final_fit:
        logger.warning(
            "%s: new products are predicted by the evaluated model, fitted on the train rows alone: final_fit does not work with "
            "engine.buckets yet. --params final_fit=false says that this is meant",
            checkpoint.name,
        )
    by_source = {table.source: table for table in tables}
    levels = tuple(intervals.levels) if checkpoint.calibration is not None else ()
    task = BucketPrediction(packed_model(checkpoint, inference.precision), samples, by_source, levels)
    return BucketDraft(prediction_plan(task, checkpoint.header.sources), engine)


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


def export(checkpoint: Any, samples: Buckets, *tables: TableBuckets) -> Any:
    """Export a checkpoint, checked on the products of the fullest bucket."""
    fullest = max(range(samples.count), key=samples.rows_in)
    return export_and_check(checkpoint, frame_of(samples, fullest), *(table.bucket(fullest) for table in tables))


def packed_model(checkpoint: Any, precision: Any = "float32") -> Any:
    """A checkpoint, packed for workers."""
    from price_fusion.models.checkpoint import checkpoint_bytes

    return packed(checkpoint_bytes(checkpoint), precision)


def _spill(engine: EngineParameters, otherwise: Path) -> Path:
    return Path(engine.spill) if engine.spill else otherwise


def _by_tuning(parts: list[dict[str, Any]]) -> dict[str, Any]:
    found = {name: merged_moments(part[name] for part in parts) for name in ("seen", "unseen")}
    return {
        name: {"rows": int(one["rows"]), "smape": one["smape"] / one["rows"] if one["rows"] else None}
        for name, one in found.items()
    }
