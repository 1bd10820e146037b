"""Embeddings dealt out to partitions, and columns of products that are in partitions already.

Raw embeddings are read in blocks of rows that follow each other; a block is a part, and leaves its rows in every partition.
A block is a row group of a parquet file, or as many rows of a mapped matrix as ``memory_gb`` holds: of these the system keeps
what it has room for, and this program one partition's.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from price_fusion.compute import Executor, executor_of
from price_fusion.compute.progress import tracked
from price_fusion.data.columns import NUMBER_FORMAT, column_matrix, completed
from price_fusion.data.ids import ids_of
from price_fusion.data.order import partitions_of
from price_fusion.data.partitions.parquet_embeddings import ParquetEmbeddings
from price_fusion.data.partitions.product_files import RESERVED
from price_fusion.data.partitions.table_partitions import IDS, TablePartitions, rows_as_arrow, table_metadata
from price_fusion.data.readers.column_names import CALLED, TEMPLATE
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.readers.rows import row_blocks
from price_fusion.data.table import BeyondFloat16Error, as_stored, refuse_other_width, stored_dtype
from price_fusion.errors import DataError
from price_fusion.lazy import pd
from price_fusion.parameters import ColumnSourceParameters, ComputeParameters, SourceParameters
from price_fusion.storage.digests import digest_of
from price_fusion.storage.partitions.parts import (
    PartitionDraft,
    PartitionPlan,
    Partitions,
    Summary,
    Tables,
    recipe,
    write_partitions,
)

logger = logging.getLogger(__name__)


def draft_table_partitions(
    raw: RawEmbeddings | ParquetEmbeddings, declaration: SourceParameters, *, dtype: str, compute: ComputeParameters
) -> PartitionDraft:
    """Check that raw embeddings are what their source declares; writing the draft deals them out.

    Raises:
        DataError: if their width is another than the declared one.
    """
    partitions = compute.partition_count
    blocks: Sequence[Any]
    version: Any
    if isinstance(raw, ParquetEmbeddings):
        blocks, version, here = raw.blocks(), raw.versions(), False
        parts = (raw.read(block).vectors for block in blocks)
    else:
        # The matrix is a file of this machine, or in memory: other processes do not have it.
        blocks, version, here = _blocks(raw, compute.memory_bytes), _version_of(raw), True
        refuse_other_width(raw, declaration)
        parts = (raw.vectors[block] for block in blocks)
    dtype = stored_dtype((part[:, : declaration.embedding_width] for part in parts), dtype, raw.origin)
    deal = _Deal(raw, tuple(blocks), declaration, dtype, partitions)
    described = {
        "raw": version,
        "declaration": declaration.model_dump(mode="json"),
        "dtype": dtype,
        "partitions": partitions,
        "parts": len(blocks),
    }
    metadata = table_metadata("", declaration, dtype, raw.origin)
    return PartitionDraft(
        PartitionPlan(deal, len(blocks), partitions, recipe("embeddings 2", described), metadata, here), compute
    )


def draft_column_partitions(
    products: Partitions, declaration: ColumnSourceParameters, origin: str, *, compute: ComputeParameters
) -> PartitionDraft:
    """A column source of products that are in partitions. Writing it finds the categories of all of them first.

    Its recipe has the declaration as configured: categories follow from it and the products, so that a table which is there
    is known without reading them.
    """
    described = {"products": products.fingerprint, "declaration": declaration.model_dump(mode="json")}
    plan = PartitionPlan(
        partial(_columns_of_partition, products, declaration, origin),
        parts=products.count,
        partitions=products.count,
        recipe=recipe("columns 3", described),
        metadata=table_metadata("", declaration, "float32", origin),
        complete=partial(_with_categories, products, declaration, origin),
    )
    return PartitionDraft(plan, compute)


def write_table_partitions(url: str, source: str, draft: PartitionDraft) -> TablePartitions:
    """Write a table; a rerun goes on with the parts that are missing.

    Values beyond float16's range turn the whole table to float32, with a warning.

    Args:
        url: of its folder.
        source: name of the source.
        draft: what to write.

    Raises:
        DataError: naming the rows that hold NaN, an infinite value or one beyond float32.
        StorageError: if it cannot be written. Finished parts are kept.
    """
    compute = executor_of(draft.compute)
    try:
        return TablePartitions(write_partitions(url, _named(draft.plan, source), compute))
    except BeyondFloat16Error as overflow:
        logger.warning("%s: %s; the table of %r keeps float32", draft.plan.metadata["origin"], overflow, source)
        return TablePartitions(write_partitions(url, _named(_in_float32(draft.plan), source), compute))


@dataclass(frozen=True)
class _Deal:
    """Deals out one block of rows: the task of a part."""

    raw: RawEmbeddings | ParquetEmbeddings
    blocks: tuple[Any, ...]
    declaration: SourceParameters
    dtype: str
    partitions: int

    def __call__(self, part: int) -> tuple[Tables, Summary]:
        raw, block = self._read(self.blocks[part])
        partition = partitions_of(raw.ids[block], self.partitions)
        rows = block.start + np.argsort(partition, kind="stable")
        counts = np.bincount(partition, minlength=self.partitions)
        return self._dealt(raw, rows, counts, part << 32), {"rows": len(rows)}

    def _dealt(
        self, raw: RawEmbeddings, rows: NDArray[np.int64], counts: NDArray[np.int64], place: int
    ) -> Iterator[tuple[int, pa.Table]]:
        """Rows of each partition, gathered from the raw matrix when they are to be written: it may be larger than memory."""
        width = self.declaration.embedding_width
        for partition, chosen in enumerate(np.split(rows, np.cumsum(counts)[:-1])):
            vectors = as_stored(raw, chosen, slice(0, width), np.dtype(self.dtype))
            structural = as_stored(raw, chosen, slice(width, None), np.dtype(np.float32))
            yield partition, rows_as_arrow(raw.ids[chosen], place + chosen, vectors, structural)

    def _read(self, block: Any) -> tuple[RawEmbeddings, slice]:
        """Embeddings that hold a block, and its rows in them."""
        if isinstance(self.raw, RawEmbeddings):
            return self.raw, block
        read = self.raw.read(block)
        refuse_other_width(read, self.declaration)
        return read, slice(0, len(read.ids))


def _blocks(raw: RawEmbeddings, memory_bytes: int) -> list[slice]:
    rows = max(1, memory_bytes // (raw.vectors.shape[1] * raw.vectors.dtype.itemsize))
    return list(row_blocks(len(raw.ids), rows))


def _columns_of_partition(
    products: Partitions, declaration: ColumnSourceParameters, origin: str, partition: int
) -> tuple[Tables, Summary]:
    frame = _products_of(products, declaration, partition)
    matrix = column_matrix(frame, declaration, origin)
    none, places = np.empty((len(frame), 0), np.float32), frame["row"].to_numpy(np.int64)
    return {partition: rows_as_arrow(ids_of(frame[IDS]), places, none, matrix)}, {"rows": len(frame)}


def frame_of(partitions: Partitions, partition: int, columns: list[str] | None = None) -> pd.DataFrame:
    """The rows of a partition of products or samples as a frame."""
    tables = list(partitions.read(partition, columns))
    frame = (
        pa.concat_tables(tables).to_pandas(strings_to_categorical=False) if tables else pd.DataFrame(columns=columns)
    )
    frame.attrs |= {
        name: partitions.metadata[name] for name in (NUMBER_FORMAT, CALLED, TEMPLATE) if name in partitions.metadata
    }
    return frame


def _with_categories(
    products: Partitions, declaration: ColumnSourceParameters, origin: str, plan: PartitionPlan, executor: Executor
) -> PartitionPlan:
    """The plan by a complete declaration, which says the categories of all partitions."""
    whole = _completed(products, declaration, origin, executor)
    metadata = {**plan.metadata, "declaration": whole.model_dump(mode="json")}
    return replace(plan, task=partial(_columns_of_partition, products, whole, origin), metadata=metadata)


def _completed(
    products: Partitions, declaration: ColumnSourceParameters, origin: str, executor: Executor
) -> ColumnSourceParameters:
    """The declaration with the categories of all partitions.

    Raises:
        DataError: as of ``data.columns``.
    """
    categories = partial(_categories_of_partition, products, declaration, origin)
    partitions = [partition for partition in range(products.count) if products.rows_in(partition)]
    found = list(executor.map(categories, partitions, f"categories of {origin}", "partitions"))
    if not found:
        raise DataError(f"{products.url}: no products. Bring some.")
    vocabulary = {
        name: tuple(sorted({value for one in found for value in one["vocabulary"][name]}))
        for name in found[0]["vocabulary"]
    }
    given = {name: tuple(values) for name, values in declaration.vocabulary.items()}
    return ColumnSourceParameters.model_validate(found[0] | {"vocabulary": vocabulary | given})


def _categories_of_partition(
    products: Partitions, declaration: ColumnSourceParameters, origin: str, partition: int
) -> dict[str, Any]:
    frame = _products_of(products, declaration, partition)
    return completed(frame, declaration, origin).model_dump()


def _products_of(products: Partitions, declaration: ColumnSourceParameters, partition: int) -> pd.DataFrame:
    """The columns that a declaration reads; all of the products' where one is missing, for the message."""
    text = ["catalog_content"] if declaration.parse else []
    wanted = [IDS, "row", *text, *(name for name in declaration.own_columns if name not in text)]
    frame = frame_of(products, partition, wanted)
    if set(wanted) <= set(frame):
        return frame
    return frame_of(products, partition).drop(columns=list(RESERVED), errors="ignore")


def _named(plan: PartitionPlan, source: str) -> PartitionPlan:
    return replace(plan, metadata={**plan.metadata, "source": source})


def _in_float32(plan: PartitionPlan) -> PartitionPlan:
    assert isinstance(plan.task, _Deal)  # noqa: S101 - columns are never stored in float16
    return replace(
        plan,
        task=replace(plan.task, dtype="float32"),
        recipe=recipe("embeddings 2 in float32", {"recipe": plan.recipe}),
        metadata={**plan.metadata, "dtype": "float32"},
    )


def _version_of(raw: RawEmbeddings) -> dict[str, Any]:
    """What tells a raw matrix from another: the digest of its file, or of what is in memory."""
    ids = hashlib.sha256(np.ascontiguousarray(raw.ids).tobytes()).hexdigest()
    mapped = getattr(raw.vectors, "filename", None)
    if mapped is not None and Path(mapped).exists():  # what was read of a pickle is mapped from a file that is gone
        place = {"offset": raw.vectors.offset}  # type: ignore[attr-defined]  # a file may hold several matrices
        return {"ids": ids, "file": str(mapped), "sha256": digest_of(Path(mapped))} | place
    digest = hashlib.sha256()
    for block in tracked(list(row_blocks(len(raw.ids), 8_192)), f"hashing {raw.origin}", "blocks of rows"):
        digest.update(np.ascontiguousarray(raw.vectors[block]).tobytes())
    return {"ids": ids, "values": digest.hexdigest(), "dtype": raw.vectors.dtype.str}
