"""Wiring of ``ingestion``: each source by itself, then all of them aligned."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.ingestion.nodes import align_labelled, align_unlabelled, prepare_table

TAG = "ingest"


def create_pipeline(sources: Sequence[str], part: str) -> Pipeline:
    """Tables of these sources and the sample table.

    Args:
        sources: names of the sources.
        part: ``train`` (labelled) or ``test`` (to be priced).
    """
    tables = [_table_pipeline(source, part) for source in sources]
    align = Node(
        align_labelled if part == "train" else align_unlabelled,
        inputs=[f"{part}_products", "params:ingestion", *(f"{source}.{part}_table" for source in sources)],
        outputs=[f"{part}_samples", f"{part}_alignment_report"],
        name=f"align_{part}",
        tags=[TAG],
    )
    return sum(tables, Pipeline([align]))


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
