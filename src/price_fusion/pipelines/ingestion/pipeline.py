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
NAMESPACE = "ingestion"
"""Of all nodes from raw files to the products of a model, so that Kedro-Viz shows them as one."""
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
            namespace=NAMESPACE,
            tags=[TAG],
        ),
        Node(
            sample_labelled if labelled else sample_unlabelled,
            inputs=f"{part}_products",
            outputs=f"{part}_samples",
            name=f"sample_{part}",
            namespace=NAMESPACE,
            tags=[TAG],
        ),
    ]
    tables = (node for source in sources.items() for node in _source_nodes(*source, part, ending))
    return Pipeline([*nodes, *tables])


def _source_nodes(name: str, source: Source, part: str, ending: str) -> list[Node]:
    """The table of a source, and its checks; ``ending`` of the name of the train table that a test table is compared with."""
    products, table, labelled = f"{part}_products", f"{name}.{part}_table", part == "train"
    prepare: Callable[..., TableDraft]
    if isinstance(source, ColumnSourceParameters):
        prepare = prepare_labelled_columns if labelled else prepare_unlabelled_columns
        made_from = [products, f"params:sources.{name}"]
    else:
        prepare, made_from = prepare_table, [f"{name}.{part}_embeddings", f"params:sources.{name}", "params:ingestion"]
    compared = [] if labelled else [f"{name}.train_table{ending}"]
    namespace = f"{NAMESPACE}.{name}"
    return [
        Node(
            prepare,
            inputs=made_from,
            outputs=table,
            name=f"prepare_{part}_table",
            namespace=namespace,
            tags=[TAG],
        ),
        Node(
            check_labelled_table if labelled else check_unlabelled_table,
            inputs=[products, table, "params:ingestion", *compared],
            outputs=f"{name}.{part}_data_checks",
            name=f"check_{part}_table",
            namespace=namespace,
            tags=[TAG],
        ),
    ]
