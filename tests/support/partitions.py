"""A small project's tables in partitions: products, two sources and a column source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from price_fusion.data.alignment import sample_table
from price_fusion.data.order import canonical_order, partitions_of
from price_fusion.data.partitions.partition_alignment import PartitionAlignment, alignment_plan
from price_fusion.data.partitions.scatter import draft_column_partitions, draft_table_partitions, write_table_partitions
from price_fusion.data.partitions.table_partitions import TablePartitions
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.table import EmbeddingTable, draft_table, write_table
from price_fusion.metrics.intervals import Calibration
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.parameters import ColumnSourceParameters, ComputeParameters, SourceParameters
from price_fusion.prediction.partition_scoring import PartitionPrediction, packed
from price_fusion.prediction.predictor import Predictor
from price_fusion.storage.partitions.parts import (
    PartitionDraft,
    PartitionPlan,
    Partitions,
    Summary,
    Tables,
    write_draft,
)

LEVELS = (0.8, 0.9)
EMBEDDED = ("picture", "words")
COUNT = 4
COMPUTE = ComputeParameters(partitions=COUNT, workers=1)
SOURCES = {
    "picture": SourceParameters(width=5, group="image"),
    "words": SourceParameters(width=9, group="text", structural_columns=3),
    "facts": ColumnSourceParameters(kind="columns", group="facts", numeric=("weight",), categorical=("brand",)),
}


@dataclass(frozen=True)
class _Products:
    """Deals a frame out, as ``product_plan`` does a file."""

    frame: pd.DataFrame
    count: int

    def __call__(self, partition: int) -> tuple[Tables, Summary]:
        ordered = self.frame.iloc[canonical_order(self.frame["sample_id"].to_numpy())]
        chosen = ordered[partitions_of(ordered["sample_id"].to_numpy(), self.count) == partition]
        return {partition: pa.Table.from_pandas(chosen, preserve_index=False)}, {"rows": len(chosen)}


def product_frame(rows: int, *, labelled: bool = True, seed: int = 0) -> pd.DataFrame:
    """Products as they are in partitions."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "sample_id": generator.permutation(10 * rows)[:rows],
            "row": np.arange(rows),
            "catalog_content": [f"product {number}" for number in range(rows)],
            "image_link": [f"https://images.test/{number}.jpg" for number in range(rows)],
            "weight": [f"{weight:.2f}" for weight in generator.uniform(0, 9, rows)],
            "brand": generator.choice(["acme", "zenith", ""], rows),
            "group_key": np.arange(rows),
        }
    )
    if not labelled:
        return frame
    return frame.assign(
        price=np.exp(generator.normal(2.5, 1, rows)),
        split=generator.choice(["train", "validation", "holdout"], rows, p=[0.6, 0.2, 0.2]),
        fold=generator.integers(0, 5, rows),
        half=generator.integers(0, 2, rows).astype(np.int8),
        tuned_on=False,
    )


def raw_embeddings(products: pd.DataFrame, source: SourceParameters, *, seed: int, missing: int = 3) -> RawEmbeddings:
    """Embeddings of the products but for the first few, in another order, and of one stranger."""
    generator = np.random.default_rng(seed)
    ids = generator.permutation(np.append(products["sample_id"].to_numpy()[missing:], 10**9 + seed))
    vectors = generator.normal(size=(len(ids), source.width)).astype(np.float32)
    return RawEmbeddings(ids, vectors, f"embeddings {seed}")


def write_products(folder: Path, products: pd.DataFrame, compute: ComputeParameters = COMPUTE) -> Partitions:
    metadata = {"labelled": "price" in products, "origin": "products.csv"}
    recipe = str(pd.util.hash_pandas_object(products).sum())
    count = compute.partition_count
    plan = PartitionPlan(_Products(products, count), count, count, recipe, metadata, here=True)
    return write_draft(str(folder), PartitionDraft(plan, compute))


def write_tables(
    folder: Path, products: Partitions, raws: dict[str, RawEmbeddings], compute: ComputeParameters = COMPUTE
) -> dict[str, TablePartitions]:
    """Each source of ``SOURCES`` that is among ``raws`` or of columns."""
    tables = {}
    for name, source in SOURCES.items():
        if isinstance(source, ColumnSourceParameters):
            draft = draft_column_partitions(products, source, "products", compute=compute)
        elif name in raws:
            draft = draft_table_partitions(raws[name], source, dtype="float16", compute=compute)
        else:
            continue
        tables[name] = write_table_partitions(str(folder / name), name, draft)
    return tables


def write_samples(
    folder: Path, products: Partitions, tables: dict[str, TablePartitions], compute: ComputeParameters = COMPUTE
) -> Partitions:
    alignment = PartitionAlignment(products, tables, "keep", "keep", "products")
    return write_draft(str(folder), PartitionDraft(alignment_plan(alignment), compute))


@dataclass
class Case:
    """The same products in partitions and in memory."""

    checkpoint: Checkpoint
    products: Partitions
    samples: Partitions
    tables: dict[str, TablePartitions]
    expected: pd.DataFrame
    """In the order of the product file."""

    def pricing(self) -> PartitionPrediction:
        return PartitionPrediction(packed(self.checkpoint), self.samples, self.tables, LEVELS)


def make_case(folder: Path, make_checkpoint: Callable[..., Checkpoint]) -> Case:
    """300 products, most of them in two sources, and a calibrated model with random weights."""
    frame = product_frame(300)
    raws = {name: raw_embeddings(frame, SOURCES[name], seed=seed, missing=seed) for seed, name in enumerate(EMBEDDED)}
    for name in EMBEDDED:
        write_table(folder / f"table_{name}", name, draft_table(raws[name], SOURCES[name]))
    tables = {name: EmbeddingTable(folder / f"table_{name}") for name in EMBEDDED}
    aligned = sample_table(frame, "products")

    products = write_products(folder / "products", frame)
    partitions = {name: table for name, table in write_tables(folder, products, raws).items() if name in EMBEDDED}
    samples = write_samples(folder / "samples", products, partitions)
    generator = np.random.default_rng(0)
    calibration = Calibration(generator.normal(2.5, 1, 500), generator.normal(0, 0.5, 500))
    plain = make_checkpoint(data={"samples": samples.fingerprint})
    checkpoint = Checkpoint(plain.header, plain.weights, calibration)
    priced = Predictor(checkpoint).price_samples(aligned, tables, LEVELS)
    priced = priced.set_axis(aligned["place"]).sort_index()
    expected = pd.concat([frame[["sample_id", "row", "split"]], frame["price"].rename("true"), priced], axis=1)
    return Case(checkpoint, products, samples, partitions, expected)
