"""A sample table and two tables of embeddings in partitions, and a tiny variant that learns their prices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from price_fusion.compute import executor_of
from price_fusion.data.order import partitions_of
from price_fusion.data.partitions.sketches import sketch
from price_fusion.data.partitions.table_partitions import TablePartitions, rows_as_arrow, table_metadata
from price_fusion.parameters import SourceParameters, VariantParameters
from price_fusion.parameters.compute import ComputeParameters
from price_fusion.storage.partitions.parts import PartitionPlan, Partitions, write_partitions

ROWS, PARTITIONS = 2_400, 8
SOURCES = {
    "picture": SourceParameters(width=5, group="image"),
    "words": SourceParameters(width=9, group="text", structural_columns=3),
}
ROW_BYTES = 5 * 2 + 6 * 2 + 3 * 4
Partitioned = tuple[Partitions, dict[str, TablePartitions]]


def write_partitioned(folder: Path, rows: int = ROWS, partitions: int = PARTITIONS) -> Partitioned:
    """Products of two sources whose prices depend on both; ``picture`` lacks some. The price says which product it is."""
    generator = np.random.default_rng(3)
    ids = generator.permutation(rows) + 10_000
    vectors = {
        name: generator.normal(size=(rows, width)).astype(np.float16) for name, width in (("picture", 5), ("words", 6))
    }
    columns = generator.random((rows, 3)).astype(np.float32) * 5
    prices = np.exp(2.5 + vectors["picture"][:, 0] + 0.5 * vectors["words"][:, 1] + 0.1 * columns[:, 0]).astype(
        np.float64
    )
    split = generator.choice(["train", "validation", "holdout"], rows, p=[0.7, 0.2, 0.1])
    half = (np.arange(rows) % 2).astype(np.int8)
    known = generator.random(rows) > 0.1
    number = partitions_of(ids, partitions)

    def written(name: str, part: Callable[[int], tuple[pa.Table, dict[str, Any]]], **metadata: Any) -> Partitions:
        def task(partition: int) -> tuple[dict[int, pa.Table], dict[str, Any]]:
            table, summary = part(partition)
            return {partition: table}, summary

        plan = PartitionPlan(task, partitions, partitions, f"recipe {name}", metadata, here=True)
        return write_partitions(str(folder / name), plan, executor_of(ComputeParameters()))

    def source(name: str) -> Partitions:
        there = known if name == "picture" else np.ones(rows, bool)

        def part(partition: int) -> tuple[pa.Table, dict[str, Any]]:
            own = np.flatnonzero((number == partition) & there)[::-1]
            structural = columns[own] if name == "words" else np.empty((len(own), 0), np.float32)
            return rows_as_arrow(ids[own], own, vectors[name][own], structural), {}

        return written(name, part, **table_metadata(name, SOURCES[name], "float16", "test"))

    tables = {name: TablePartitions(source(name)) for name in SOURCES}

    def sample(partition: int) -> tuple[pa.Table, dict[str, Any]]:
        own = np.flatnonzero(number == partition)
        table = {"sample_id": ids[own], "price": prices[own], "group_key": own, "split": split[own], "half": half[own]}
        counts = {name: int((split[own] == name).sum()) for name in ("train", "validation", "holdout")}
        found = {name: {"sketch": sketch(prices[own][split[own] == name])} for name in counts}
        summary = {"splits": counts, "prices": found}
        return pa.table(table | {"tuned_on": np.zeros(len(own), bool)}), summary

    return written("samples", sample), tables


def partitioned_variant(**train: Any) -> VariantParameters:
    options = {"epochs": 3, "batch_size": 64, "precision": "float32", "device": "cpu", "learning_rate": 0.01}
    return VariantParameters.model_validate(
        {
            "sources": list(SOURCES),
            "model": {"branch": {"width": 16}, "head": {"kind": "mlp", "hidden": [16, 8], "dropout": 0.1}},
            "train": options | train,
        }
    )
