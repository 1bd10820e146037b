"""Which products in partitions a model may use, and those of them that are in memory."""

from __future__ import annotations

from typing import Any

from price_fusion.data.checks.frame_checks import refuse_other_products
from price_fusion.data.partitions.gathering import gather_chosen
from price_fusion.data.partitions.partition_alignment import PartitionAlignment, alignment_plan, merged_alignment
from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.lazy import pd
from price_fusion.parameters import ComputeParameters, IngestionParameters
from price_fusion.pipelines.alignment.nodes import joined, policies, warn_of_unknown
from price_fusion.storage.fingerprint import is_sample
from price_fusion.storage.partitions.parts import PartitionDraft, Partitions

Checks = dict[str, Any]


def align_labelled(
    products: Partitions, ingestion: IngestionParameters, compute: ComputeParameters, *tables: TablePartitions
) -> PartitionDraft:
    """The labelled products that a model of these sources may use."""
    return _aligned(products, "train", ingestion, compute, tables)


def align_unlabelled(
    products: Partitions, ingestion: IngestionParameters, compute: ComputeParameters, *tables: TablePartitions
) -> PartitionDraft:
    """The products that a model of these sources is to predict: all of them, unless ``strict`` refuses some."""
    return _aligned(products, "test", ingestion, compute, tables)


def choose_in_memory(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    data_checks: Checks,
    chosen: Partitions,
    ingestion: IngestionParameters,
    *checks: Checks,
) -> tuple[pd.DataFrame, pd.DataFrame, Checks, Checks]:
    """Those of the labelled products in memory that a model may use.

    Args:
        samples: the sample table of the products in memory.
        split_table: in its order.
        data_checks: of the products.
        chosen: all products that the model may use.
        ingestion: policies.
        checks: of each source of the model.

    Returns:
        its sample table, split table, alignment report of all products, and all checks of its inputs in one.
    """
    refuse_other_products(samples, split_table)
    own_samples, own_split = gather_chosen(chosen, samples, split_table)
    report = report_labelled(chosen, ingestion, data_checks, *checks)
    if not is_sample(own_samples):
        report["groups_of_several"] = int((own_samples["group_key"].value_counts() > 1).sum())
    return own_samples, own_split, report, joined(data_checks, checks)


def report_labelled(chosen: Partitions, ingestion: IngestionParameters, data_checks: Checks, *checks: Checks) -> Checks:
    """How labelled products and these sources fit together."""
    suspicions = joined(data_checks, checks)["suspicions"]
    return _report(chosen, "train", ingestion) | {"suspicions": len(suspicions)}


def report_unlabelled(chosen: Partitions, ingestion: IngestionParameters) -> Checks:
    """Likewise products to be predicted, in which nobody looks for mistakes before they are in memory."""
    report = _report(chosen, "test", ingestion)
    warn_of_unknown(report)
    return report | {"suspicions": None}


def _aligned(
    products: Partitions,
    part: str,
    ingestion: IngestionParameters,
    compute: ComputeParameters,
    tables: tuple[TablePartitions, ...],
) -> PartitionDraft:
    by_source = {table.source: table for table in tables}
    alignment = PartitionAlignment(products, by_source, *policies(part, ingestion), f"{part}_products")
    return PartitionDraft(alignment_plan(alignment), compute)


def _report(chosen: Partitions, part: str, ingestion: IngestionParameters) -> Checks:
    return merged_alignment(chosen, policies(part, ingestion)[0], f"{part}_products")
