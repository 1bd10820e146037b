"""From tables in partitions to those in memory that later stages read: all rows, or as many as ``compute.rows_in_memory`` says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from price_fusion.data.checks.matrices import suspicions_of_source
from price_fusion.data.checks.product_checks import suspicions_of_known, suspicions_of_products
from price_fusion.data.checks.shift import suspicions_of_shift
from price_fusion.data.checks.suspicions import Suspicion, report_suspicions
from price_fusion.data.ids import Ids, ids_of
from price_fusion.data.partitions.gathering import draft_gathered, gather_products, gather_samples, split_of
from price_fusion.data.partitions.partition_alignment import merged_alignment, merged_split
from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.data.splits import report_split
from price_fusion.data.table import EmbeddingTable, TableDraft
from price_fusion.lazy import pd
from price_fusion.parameters import ComputeParameters, IngestionParameters
from price_fusion.storage.fingerprint import is_sample
from price_fusion.storage.partitions.parts import Partitions


def gather_labelled(samples: Partitions, rows_in_memory: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sample table and split table of the labelled products."""
    return split_of(gather_samples(samples, rows_in_memory))


def gather_unlabelled(samples: Partitions, rows_in_memory: int) -> pd.DataFrame:
    """Sample table of the products to be predicted."""
    return gather_samples(samples, rows_in_memory)


def gather_texts(products: Partitions, samples: pd.DataFrame) -> pd.DataFrame:
    """The products of a sample table as they were read."""
    return gather_products(products, samples)


def check_gathered_labelled(
    products: pd.DataFrame, ingestion: IngestionParameters, *tables: EmbeddingTable
) -> dict[str, Any]:
    """Likely mistakes in labelled products and their embeddings."""
    found = _suspicions(products, ingestion, tables, "train")
    return report_suspicions(found, part="train", on_suspicion=ingestion.on_suspicion)


def check_gathered_unlabelled(
    products: pd.DataFrame, ingestion: IngestionParameters, labelled: pd.DataFrame, *tables: EmbeddingTable
) -> dict[str, Any]:
    """Likely mistakes in products to be predicted and their embeddings.

    Args:
        products: to be predicted.
        ingestion: thresholds, and what to do.
        labelled: the sample table of the labelled products.
        tables: the test table of each source, and then the train table of each.
    """
    half = len(tables) // 2
    found = _suspicions(products, ingestion, tables[:half], "test")
    found += suspicions_of_known(products, ids_of(labelled["sample_id"]), "test_products")
    for test, train in zip(tables[:half], tables[half:], strict=True):
        found += suspicions_of_shift(train, test)
    return report_suspicions(found, part="test", on_suspicion=ingestion.on_suspicion)


def gather_table(
    table: TablePartitions,
    samples: pd.DataFrame,
    ingestion: IngestionParameters,
    compute: ComputeParameters,
    spill: Path,
) -> TableDraft:
    """The embeddings of the products of a sample table; saving the result writes them."""
    folder = Path(compute.spill) if compute.spill else spill
    return draft_gathered(table, samples, folder, rows_per_shard=ingestion.rows_per_shard)


def report_labelled(
    partitions: Partitions,
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    ingestion: IngestionParameters,
    currency: str,
    data_checks: dict[str, Any],
    **tuned_on: Ids,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Alignment report and split report of all labelled products; where not all are in memory, medians are right to 0.1 %."""
    alignment = merged_alignment(partitions, ingestion.policy, "train_products")
    alignment["suspicions"] = len(data_checks["suspicions"])
    if is_sample(samples):
        return alignment, merged_split(partitions) | {"currency": currency, "rows_in_memory": len(samples)}
    alignment["groups_of_several"] = int((samples["group_key"].value_counts() > 1).sum())
    return alignment, report_split(samples, split_table, tuned_on) | {"currency": currency}


def _suspicions(
    products: pd.DataFrame, ingestion: IngestionParameters, tables: Sequence[EmbeddingTable], part: str
) -> list[Suspicion]:
    origin, ids = f"{part}_products", ids_of(products["sample_id"])
    found = list(suspicions_of_products(products, ingestion.checks, origin))
    for table in tables:
        found += suspicions_of_source(table, ids, ingestion.checks, origin)
    return found
