"""Prices for products in partitions that have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from price_fusion.data.categories import warn_of_unknown_in_tables
from price_fusion.data.partitions.partition_alignment import ChosenProducts
from price_fusion.metrics.intervals import interval_columns
from price_fusion.parameters import ComputeParameters, InferenceParameters, IntervalParameters
from price_fusion.pipelines.inference.nodes import PRODUCTS, log_who_predicts
from price_fusion.prediction.partition_scoring import PartitionPrediction, packed
from price_fusion.storage.partitions.ordered import OrderedRows
from price_fusion.storage.partitions.parts import PartitionDraft, Partitions


def price_partitions(
    checkpoint: Any,
    samples: ChosenProducts,
    inference: InferenceParameters,
    intervals: IntervalParameters,
    final_fit: bool,
    compute: ComputeParameters,
) -> PartitionDraft:
    """Predict each product, partition by partition, with a ``Checkpoint`` or an ``Ensemble``."""
    log_who_predicts(checkpoint, intervals, final_fit=final_fit)
    levels = tuple(intervals.levels) if checkpoint.calibration is not None else ()
    model = packed(checkpoint, inference.precision)
    tables = samples.tables_of(model.sources)
    warn_of_unknown_in_tables({name: table.declaration for name, table in tables.items()}, model.sources, PRODUCTS)
    task = PartitionPrediction(model, samples, tables, levels)
    return PartitionDraft(task.plan(), compute)


def put_in_order(
    priced: Partitions, inference: InferenceParameters, compute: ComputeParameters, spill: Path
) -> tuple[OrderedRows, OrderedRows]:
    """The submission in the order of the product file, and the same with the bounds of intervals and unit prices."""
    levels = priced.metadata["levels"]
    bounded = ("sample_id", "price", *(name for bounds in interval_columns(levels) for name in bounds))
    submission = bounded if inference.intervals_in_submission else bounded[:2]
    columns = (*bounded, *priced.metadata["unit_prices"])
    folder = compute.spill_folder(spill)
    return OrderedRows(priced, submission, compute, folder), OrderedRows(priced, columns, compute, folder)
