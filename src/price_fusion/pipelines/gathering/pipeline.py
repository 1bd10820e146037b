"""Wiring of ``gathering``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.gathering.nodes import (
    check_gathered_labelled,
    check_gathered_unlabelled,
    gather_labelled,
    gather_table,
    gather_texts,
    gather_unlabelled,
    report_labelled,
)
from price_fusion.pipelines.splitting.nodes import group_prices

TAG = "ingest"


def create_pipeline(sources: Sequence[str], part: str, tuned_sources: Sequence[str] = ()) -> Pipeline:
    """Sample table, embedding tables and products in memory, checked as those that are ingested there.

    Args:
        sources: that are ingested.
        part: ``train`` (labelled; with their split table, and reports of all of them) or ``test`` (to be predicted).
        tuned_sources: sources that list the ids their encoder was tuned on.
    """
    labelled = part == "train"
    partitions, samples, products = f"{part}_sample_partitions", f"{part}_samples", f"gathered_{part}_products"
    tables = [f"{source}.{part}_table" for source in sources]
    compared = [] if labelled else ["train_samples", *tables, *(f"{source}.train_table" for source in sources)]
    nodes = [
        Node(
            gather_labelled if labelled else gather_unlabelled,
            inputs=[partitions, "params:compute.rows_in_memory"],
            outputs=[samples, "split_table"] if labelled else samples,
            name=f"gather_{part}_samples",
        ),
        Node(
            gather_texts,
            inputs=[f"{part}_product_partitions", samples],
            outputs=products,
            name=f"gather_{part}_products",
        ),
        Node(
            check_gathered_labelled if labelled else check_gathered_unlabelled,
            inputs=[products, "params:ingestion", *(compared or tables)],
            outputs=f"{part}_data_checks",
            name=f"check_{part}",
        ),
        *(_table(source, part) for source in sources),
    ]
    if labelled:
        data = {"partitions": partitions, "samples": samples, "split_table": "split_table"}
        data |= {name: f"params:{name}" for name in ("ingestion", "currency")}
        tuned = {source: f"{source}.tuned_on_ids" for source in tuned_sources}
        nodes.append(
            Node(
                group_prices,
                inputs=[samples, "split_table", "params:currency", "params:price_groups"],
                outputs="price_groups",
                name="group_prices",
            )
        )
        nodes.append(
            Node(
                report_labelled,
                inputs=data | {"data_checks": f"{part}_data_checks"} | tuned,
                outputs=["train_alignment_report", "split_report"],
                name="report_train",
            )
        )
    return Pipeline(nodes, tags=[TAG])


def reading_gathered(pipeline: Pipeline) -> Pipeline:
    """A pipeline that reads product files, reading the products in memory instead."""
    files = {f"{part}_products": f"gathered_{part}_products" for part in ("train", "test")}
    return Pipeline(pipeline, inputs={name: files[name] for name in files if name in pipeline.inputs()})


def _table(source: str, part: str) -> Node:
    """Not in the source's namespace, which ends before products are aligned."""
    return Node(
        gather_table,
        inputs=[
            f"{source}.{part}_partitions",
            f"{part}_samples",
            "params:ingestion",
            "params:compute",
            "params:spill_folder",
        ],
        outputs=f"{source}.{part}_table",
        name=f"gather_{source}_{part}_table",
    )
