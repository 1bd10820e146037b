"""From raw files to embedding tables and sample tables."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from price_fusion.data.alignment import align_products
from price_fusion.data.checks.matrices import suspicions_of_coverage, suspicions_of_table
from price_fusion.data.checks.product_checks import suspicions_of_known, suspicions_of_products
from price_fusion.data.checks.shift import suspicions_of_shift
from price_fusion.data.checks.suspicions import Suspicion, report_suspicions
from price_fusion.data.columns import draft_columns
from price_fusion.data.ids import ids_of
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import EmbeddingTable, TableDraft, draft_table
from price_fusion.lazy import pd
from price_fusion.parameters import ColumnSourceParameters, IngestionParameters, SourceParameters

logger = logging.getLogger(__name__)


def prepare_table(raw: RawEmbeddings, source: SourceParameters, ingestion: IngestionParameters) -> TableDraft:
    """Check a raw matrix against its declaration; saving the result converts it."""
    return draft_table(raw, source, dtype=ingestion.dtype, rows_per_shard=ingestion.rows_per_shard)


def prepare_labelled_columns(products: pd.DataFrame, source: ColumnSourceParameters) -> TableDraft:
    """Read a column source from the labelled products."""
    return draft_columns(products, source, "train_products")


def prepare_unlabelled_columns(products: pd.DataFrame, source: ColumnSourceParameters) -> TableDraft:
    """Read a column source from the products to be predicted."""
    return draft_columns(products, source, "test_products")


def check_labelled(products: pd.DataFrame, ingestion: IngestionParameters, *tables: EmbeddingTable) -> dict[str, Any]:
    """Likely mistakes in the labelled products and their embeddings."""
    found = _suspicions(products, ingestion, tables, "train")
    return report_suspicions(found, part="train", on_suspicion=ingestion.on_suspicion)


def check_unlabelled(
    products: pd.DataFrame,
    ingestion: IngestionParameters,
    labelled: pd.DataFrame | None,
    *tables: EmbeddingTable | None,
) -> dict[str, Any]:
    """Likely mistakes in the products to be predicted and their embeddings.

    Args:
        products: to be predicted.
        ingestion: thresholds, and what to do.
        labelled: the sample table of the labelled products, or None where there is none.
        tables: the test table of each source, and then the train table of each, or None where there is none.
    """
    known = [table for table in tables if table is not None]
    tests, train_tables = known[: len(tables) // 2], {table.source: table for table in known[len(tables) // 2 :]}
    found = _suspicions(products, ingestion, tests, "test")
    if labelled is not None:
        found += suspicions_of_known(products, ids_of(labelled["sample_id"]), "test_products")
    for test in tests:
        if test.source in train_tables:
            found += suspicions_of_shift(train_tables[test.source], test)
    return report_suspicions(found, part="test", on_suspicion=ingestion.on_suspicion)


def align_labelled(
    products: pd.DataFrame, ingestion: IngestionParameters, data_checks: dict[str, Any], *tables: EmbeddingTable
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Sample table and alignment report of the labelled products."""
    alignment = align_products(
        products,
        {table.source: table for table in tables},
        policy=ingestion.policy,
        unknown_products=ingestion.unknown_products,
        origin="train_products",
    )
    return alignment.samples, alignment.report | {"suspicions": len(data_checks["suspicions"])}


def align_unlabelled(
    products: pd.DataFrame, ingestion: IngestionParameters, data_checks: dict[str, Any], *tables: EmbeddingTable
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Sample table and alignment report of the products to be predicted. Unless ``strict``, each of them is kept."""
    alignment = align_products(
        products,
        {table.source: table for table in tables},
        policy="strict" if ingestion.policy == "strict" else "keep",
        unknown_products="keep",
        origin="test_products",
    )
    unknown = alignment.report["rows_in_no_source"]
    if unknown:
        logger.warning(
            "%d product(s) to be predicted are in no source of embeddings: they are predicted from their columns where a variant "
            "reads some, and else get the median price of the train rows",
            unknown,
        )
    return alignment.samples, alignment.report | {"suspicions": len(data_checks["suspicions"])}


def _suspicions(
    products: pd.DataFrame, ingestion: IngestionParameters, tables: Sequence[EmbeddingTable], part: str
) -> list[Suspicion]:
    origin, ids = f"{part}_products", ids_of(products["sample_id"])
    found = list(suspicions_of_products(products, ingestion.checks, origin))
    for table in tables:
        found += suspicions_of_table(table, ingestion.checks)
        found += suspicions_of_coverage(table, ids, ingestion.checks, origin)
    return found
