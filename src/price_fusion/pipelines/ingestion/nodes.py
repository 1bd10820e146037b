"""From raw files to embedding tables and sample tables."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from price_fusion.data.alignment import align_source, sample_table
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


def check_labelled(products: pd.DataFrame, ingestion: IngestionParameters) -> dict[str, Any]:
    """Likely mistakes in the labelled products."""
    found = suspicions_of_products(products, ingestion.checks, "train_products")
    return report_suspicions(found, part="train", on_suspicion=ingestion.on_suspicion)


def check_unlabelled(
    products: pd.DataFrame, ingestion: IngestionParameters, labelled: pd.DataFrame | None
) -> dict[str, Any]:
    """Likely mistakes in the products to be predicted; ``labelled``, the other sample table, is None where there is none."""
    found = list(suspicions_of_products(products, ingestion.checks, "test_products"))
    if labelled is not None:
        found += suspicions_of_known(products, ids_of(labelled["sample_id"]), "test_products")
    return report_suspicions(found, part="test", on_suspicion=ingestion.on_suspicion)


def sample_labelled(products: pd.DataFrame) -> pd.DataFrame:
    """Sample table of the labelled products."""
    return sample_table(products, "train_products")


def sample_unlabelled(products: pd.DataFrame) -> pd.DataFrame:
    """Sample table of the products to be predicted."""
    return sample_table(products, "test_products")


def check_labelled_table(
    products: pd.DataFrame, table: EmbeddingTable, ingestion: IngestionParameters
) -> dict[str, Any]:
    """Likely mistakes in a source of the labelled products, and how it fits them."""
    return _checked_table(products, table, ingestion, "train", [])


def check_unlabelled_table(
    products: pd.DataFrame, table: EmbeddingTable, ingestion: IngestionParameters, train_table: EmbeddingTable | None
) -> dict[str, Any]:
    """The same for products to be predicted, compared with the source's train table where there is one."""
    shifted = suspicions_of_shift(train_table, table) if train_table is not None else []
    return _checked_table(products, table, ingestion, "test", shifted)


def _checked_table(
    products: pd.DataFrame,
    table: EmbeddingTable,
    ingestion: IngestionParameters,
    part: str,
    further: Iterable[Suspicion],
) -> dict[str, Any]:
    origin, ids = f"{part}_products", ids_of(products["sample_id"])
    fit = align_source(table, ids, origin)
    coverage = suspicions_of_coverage(table, ids, ingestion.checks, origin)
    found = [*suspicions_of_table(table, ingestion.checks), *coverage, *further]
    return report_suspicions(found, part=part, on_suspicion=ingestion.on_suspicion) | {"fit": fit}
