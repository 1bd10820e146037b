"""Wiring of ``ingestion``: products, and each source by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kedro.pipeline import Node, Pipeline

from price_fusion.data.table import TableDraft
from price_fusion.parameters import ColumnSourceParameters, Source
from price_fusion.pipelines.ingestion.nodes import (
    check_labelled,
    check_labelled_table,
    check_unlabelled,
    check_unlabelled_table,
    prepare_labelled_columns,
    prepare_table,
    prepare_unlabelled_columns,
    sample_labelled,
    sample_unlabelled,
)

TAG = "ingest"
ALIGNING = (check_labelled_table, check_unlabelled_table)
"""Functions of the nodes that join products (first input) with the table of a source (second input)."""


def create_pipeline(sources: Mapping[str, Source], part: str, *, alone: bool = False) -> Pipeline:
    """Tables of these sources and the sample table.

    Args:
        sources: by name; none: the sample table alone.
        part: ``train`` (labelled) or ``test`` (to be predicted).
        alone: whether what ``test`` is compared with (train tables, labelled products) is of an earlier run, if any.
    """
    ending = "_if_there" if alone else ""
    labelled = part == "train"
    nodes = [
        Node(
            check_labelled if labelled else check_unlabelled,
            inputs=[f"{part}_products", "params:ingestion", *([] if labelled else [f"train_samples{ending}"])],
            outputs=f"{part}_data_checks",
            name=f"check_{part}",
            tags=[TAG],
        ),
        Node(
            sample_labelled if labelled else sample_unlabelled,
            inputs=f"{part}_products",
            outputs=f"{part}_samples",
            name=f"sample_{part}",
            tags=[TAG],
        ),
    ]
    tables = [_source_pipeline(name, source, part, f"train_table{ending}") for name, source in sources.items()]
    return sum(tables, Pipeline(nodes))


def _source_pipeline(name: str, source: Source, part: str, train_table: str) -> Pipeline:
    """The table of a source, and its checks."""
    products, labelled = f"{part}_products", part == "train"
    prepare: Callable[..., TableDraft]
    if isinstance(source, ColumnSourceParameters):
        prepare = prepare_labelled_columns if labelled else prepare_unlabelled_columns
        made_from = [products, "params:source"]
    else:
        prepare, made_from = prepare_table, [f"{part}_embeddings", "params:source", "params:ingestion"]
    table = f"{part}_table"
    nodes = [
        Node(prepare, inputs=made_from, outputs=table, name=f"prepare_{table}", tags=[TAG]),
        Node(
            check_labelled_table if labelled else check_unlabelled_table,
            inputs=[products, table, "params:ingestion", *([] if labelled else [train_table])],
            outputs=f"{part}_data_checks",
            name=f"check_{table}",
            tags=[TAG],
        ),
    ]
    return Pipeline(
        nodes,
        namespace=name,
        inputs={products},
        parameters={"params:source": f"params:sources.{name}", "params:ingestion": "params:ingestion"},
    )
