"""Wiring of ``ingestion``: each source by itself, then all of them aligned."""

from __future__ import annotations

from collections.abc import Mapping

from kedro.pipeline import Node, Pipeline

from price_fusion.parameters import ColumnSourceParameters, Source
from price_fusion.pipelines.ingestion.nodes import (
    align_labelled,
    align_unlabelled,
    check_labelled,
    check_unlabelled,
    prepare_labelled_columns,
    prepare_table,
    prepare_unlabelled_columns,
)

TAG = "ingest"
ALIGNING = (align_labelled, align_unlabelled)
"""Functions of the nodes that join products (first input) with the tables of all sources."""


def create_pipeline(sources: Mapping[str, Source], part: str, *, alone: bool = False) -> Pipeline:
    """Tables of these sources and the sample table.

    Args:
        sources: by name.
        part: ``train`` (labelled) or ``test`` (to be predicted).
        alone: whether what ``test`` is compared with (train tables, labelled products) is of an earlier run, if any.
    """
    tables = [
        _column_pipeline(name, part) if isinstance(source, ColumnSourceParameters) else _table_pipeline(name, part)
        for name, source in sources.items()
    ]
    table_names = [f"{source}.{part}_table" for source in sources]
    train = ["train_samples", *(f"{source}.train_table" for source in sources)]
    labelled, *train_tables = [f"{name}_if_there" for name in train] if alone else train
    inputs = [*table_names] if part == "train" else [labelled, *table_names, *train_tables]
    check = Node(
        check_labelled if part == "train" else check_unlabelled,
        inputs=[f"{part}_products", "params:ingestion", *inputs],
        outputs=f"{part}_data_checks",
        name=f"check_{part}",
        tags=[TAG],
    )
    # Alignment reads the checks, so that a suspicion that is an error stops a run before anything is made of the data.
    align = Node(
        align_labelled if part == "train" else align_unlabelled,
        inputs=[f"{part}_products", "params:ingestion", f"{part}_data_checks", *table_names],
        outputs=[f"{part}_samples", f"{part}_alignment_report"],
        name=f"align_{part}",
        tags=[TAG],
    )
    return sum(tables, Pipeline([check, align]))


def _table_pipeline(source: str, part: str) -> Pipeline:
    node = Node(
        prepare_table,
        inputs=[f"{part}_embeddings", "params:source", "params:ingestion"],
        outputs=f"{part}_table",
        name=f"prepare_{part}_table",
        tags=[TAG],
    )
    return Pipeline(
        [node],
        namespace=source,
        parameters={"params:source": f"params:sources.{source}", "params:ingestion": "params:ingestion"},
    )


def _column_pipeline(source: str, part: str) -> Pipeline:
    products = f"{part}_products"
    node = Node(
        prepare_labelled_columns if part == "train" else prepare_unlabelled_columns,
        inputs=[products, "params:source"],
        outputs=f"{part}_table",
        name=f"prepare_{part}_table",
        tags=[TAG],
    )
    parameters = {"params:source": f"params:sources.{source}"}
    return Pipeline([node], namespace=source, inputs={products}, parameters=parameters)
