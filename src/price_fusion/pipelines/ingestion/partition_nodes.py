"""From raw files to tables in partitions, and of these as many rows as are good to have in memory.

Nodes pass drafts and manifests of tables in partitions. Saving a draft computes and writes it.
"""

from __future__ import annotations

from pathlib import Path

from price_fusion.data.ids import Ids
from price_fusion.data.partitions.gathering import draft_gathered, gather_products, gather_samples
from price_fusion.data.partitions.parquet_embeddings import ParquetEmbeddings
from price_fusion.data.partitions.product_files import ProductFiles
from price_fusion.data.partitions.product_partitions import product_plan
from price_fusion.data.partitions.scatter import draft_column_partitions, draft_table_partitions
from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import TableDraft
from price_fusion.lazy import pd
from price_fusion.parameters import (
    ColumnSourceParameters,
    ComputeParameters,
    IngestionParameters,
    SourceParameters,
    SplittingParameters,
)
from price_fusion.storage.partitions.parts import PartitionDraft, Partitions


def deal_out_labelled(
    files: ProductFiles,
    splitting: SplittingParameters,
    seed: int,
    compute: ComputeParameters,
    spill: Path,
    **tuned_on: Ids,
) -> PartitionDraft:
    """Labelled products, to be grouped, split and dealt out; ``tuned_on`` as of the stage ``splitting``."""
    folder = compute.spill_folder(spill)
    plan = product_plan(files, compute=compute, spill=folder, splitting=splitting, tuned_on=tuned_on, seed=seed)
    return PartitionDraft(plan, compute)


def deal_out_unlabelled(files: ProductFiles, seed: int, compute: ComputeParameters, spill: Path) -> PartitionDraft:
    """Products to be predicted, to be dealt out."""
    folder = compute.spill_folder(spill)
    plan = product_plan(files, compute=compute, spill=folder, splitting=None, tuned_on={}, seed=seed)
    return PartitionDraft(plan, compute)


def deal_out(
    raw: RawEmbeddings | ParquetEmbeddings,
    source: SourceParameters,
    ingestion: IngestionParameters,
    compute: ComputeParameters,
) -> PartitionDraft:
    """Raw embeddings, to be dealt out to partitions."""
    return draft_table_partitions(raw, source, dtype=ingestion.dtype, compute=compute)


def read_columns(products: Partitions, source: ColumnSourceParameters, compute: ComputeParameters) -> PartitionDraft:
    """A column source of products in partitions."""
    return draft_column_partitions(products, source, products.origin, compute=compute)


def sample_in_memory(products: Partitions, rows_in_memory: int) -> pd.DataFrame:
    """Sample table of the products that are brought into memory."""
    return gather_samples(products, rows_in_memory)


def products_in_memory(products: Partitions, samples: pd.DataFrame) -> pd.DataFrame:
    """The products of a sample table as they were read."""
    return gather_products(products, samples)


def table_in_memory(
    table: TablePartitions,
    samples: pd.DataFrame,
    ingestion: IngestionParameters,
    compute: ComputeParameters,
    spill: Path,
) -> TableDraft:
    """The embeddings of the products of a sample table; saving the result writes them."""
    return draft_gathered(table, samples, compute.spill_folder(spill), rows_per_shard=ingestion.rows_per_shard)
