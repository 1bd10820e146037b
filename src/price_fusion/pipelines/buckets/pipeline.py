"""Wiring of the stages with ``engine.buckets``. They have the names that they have without, but for their datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.parameters import ColumnSourceParameters, Source
from price_fusion.pipelines.buckets.nodes import (
    align_labelled,
    align_unlabelled,
    buckets_to_table,
    deal_out,
    deal_out_labelled,
    deal_out_unlabelled,
    evaluate,
    export,
    merge_evaluation,
    price,
    put_in_order,
    read_columns,
    report_labelled,
    report_unlabelled,
    table_to_buckets,
    train,
    write_card,
)
from price_fusion.pipelines.reporting.pipeline import CARD

PARTS = ("train", "test")
"""Of the products."""


def create_ingestion(sources: Mapping[str, Source], part: str, tuned_sources: Sequence[str]) -> Pipeline:
    """From raw files to samples.

    Args:
        sources: by name.
        part: ``train`` (labelled) or ``test`` (to be predicted).
        tuned_sources: sources that list the ids their encoder was tuned on.
    """
    labelled = part == "train"
    tables = [f"{source}.{part}_buckets" for source in sources]
    samples = f"{part}_sample_buckets"
    align = Node(
        align_labelled if labelled else align_unlabelled,
        inputs=[f"{part}_product_buckets", "params:ingestion", "params:engine", *tables],
        outputs=samples,
        name=f"align_{part}",
        tags=["ingest"],
    )
    report = Node(
        report_labelled if labelled else report_unlabelled,
        inputs=[samples, "params:ingestion", *(["params:currency", "params:price_groups"] if labelled else [])],
        outputs=[f"{part}_alignment_report", "split_report", "price_groups"]
        if labelled
        else f"{part}_alignment_report",
        name=f"report_{part}",
        tags=["ingest"],
    )
    dealt = [
        _columns(name, part) if isinstance(source, ColumnSourceParameters) else _embeddings(name, part)
        for name, source in sources.items()
    ]
    return sum(dealt, Pipeline([_products(part, tuned_sources), align, report]))


def create_training(variant: str, sources: Sequence[str]) -> Pipeline:
    """Training of a variant on its sources."""
    tables = [f"{source}.train_buckets" for source in sources]
    shared = {"train_sample_buckets", "train_alignment_report", *tables}
    node = Node(
        train,
        inputs=[
            "train_sample_buckets",
            "train_alignment_report",
            "params:variant",
            "params:intervals",
            "params:currency",
            "params:seed",
            "params:engine",
            "run_folder",
            *tables,
        ],
        outputs=["checkpoint", "history"],
        name="train",
        tags=["train"],
    )
    parameters = {f"params:{name}": f"params:{name}" for name in ("intervals", "currency", "seed", "engine")}
    return Pipeline(
        [node], namespace=variant, inputs=shared, parameters={"params:variant": f"params:{variant}", **parameters}
    )


def create_evaluation(variant: str, sources: Sequence[str]) -> Pipeline:
    """Evaluation of a checkpoint."""
    tables = [f"{source}.train_buckets" for source in sources]
    nodes = [
        Node(
            evaluate,
            inputs=["checkpoint", "train_sample_buckets", "params:intervals", "price_groups", "params:engine", *tables],
            outputs="evaluation_buckets",
            name="predict_evaluated",
        ),
        Node(
            merge_evaluation,
            inputs=["evaluation_buckets", "params:intervals", "price_groups"],
            outputs=["metrics", "metrics_by_price", "best_and_worst", "interval_coverage", "interval_summary"],
            name="summarise",
        ),
    ]
    card = Node(write_card, inputs=CARD | {"history": "history"}, outputs="model_card", name="write_model_card")
    return Pipeline(
        [*nodes, card],
        namespace=variant,
        inputs={"train_sample_buckets", "price_groups", "split_report", "train_alignment_report", *tables},
        parameters={"params:intervals", "params:engine", "params:model_card"},
        tags=["evaluate"],
    )


def create_inference(variant: str, sources: Sequence[str]) -> Pipeline:
    """Prices of the unlabelled products by a checkpoint."""
    tables = [f"{source}.test_buckets" for source in sources]
    parameters = ["params:inference", "params:intervals", "params:final_fit", "params:engine"]
    nodes = [
        Node(
            price,
            inputs=["checkpoint", "test_sample_buckets", *parameters, *tables],
            outputs="prediction_buckets",
            name="price_products",
        ),
        Node(
            put_in_order,
            inputs=["prediction_buckets", "params:inference", "params:engine", "spill_folder"],
            outputs=["ordered_predictions", "ordered_price_intervals"],
            name="put_in_order",
        ),
    ]
    return Pipeline(
        nodes,
        namespace=variant,
        inputs={"test_sample_buckets", "spill_folder", *tables},
        parameters=set(parameters),
        tags=["predict"],
    )


def create_export(variant: str, sources: Sequence[str]) -> Pipeline:
    """Export of a variant's checkpoint."""
    shared = ["train_sample_buckets", *(f"{source}.train_buckets" for source in sources)]
    node = Node(export, inputs=["checkpoint", *shared], outputs="export", name="export", tags=["export"])
    return Pipeline([node], namespace=variant, inputs=set(shared))


def create_conversion(sources: Sequence[str], *, to_buckets: bool) -> Pipeline:
    """Tables of the in-memory engine from or to tables in buckets, of labelled products and of those to be predicted."""
    return sum((_conversion(source, part, to_buckets=to_buckets) for source in sources for part in PARTS), Pipeline([]))


def _conversion(source: str, part: str, *, to_buckets: bool) -> Pipeline:
    table, buckets = f"{part}_table", f"{part}_buckets"
    if to_buckets:
        node = Node(table_to_buckets, inputs=[table, "params:engine"], outputs=buckets, name=f"{part}_to_buckets")
        return Pipeline([node], namespace=source, parameters={"params:engine"})
    inputs = [buckets, "params:ingestion", "params:engine", "spill_folder"]
    node = Node(buckets_to_table, inputs=inputs, outputs=table, name=f"{part}_to_table")
    return Pipeline([node], namespace=source, inputs={"spill_folder"}, parameters={"params:ingestion", "params:engine"})


def _products(part: str, tuned_sources: Sequence[str]) -> Node:
    inputs = {
        "files": f"{part}_product_files",
        "seed": "params:seed",
        "engine": "params:engine",
        "spill": "spill_folder",
    }
    if part == "train":
        inputs |= {"splitting": "params:splitting"} | {name: f"{name}.tuned_on_ids" for name in tuned_sources}
    return Node(
        deal_out_labelled if part == "train" else deal_out_unlabelled,
        inputs=inputs,
        outputs=f"{part}_product_buckets",
        name=f"deal_out_{part}_products",
        tags=["ingest"],
    )


def _embeddings(source: str, part: str) -> Pipeline:
    node = Node(
        deal_out,
        inputs=[f"{part}_embeddings", "params:source", "params:ingestion", "params:engine"],
        outputs=f"{part}_buckets",
        name=f"deal_out_{part}",
        tags=["ingest"],
    )
    parameters = {f"params:{name}": f"params:{name}" for name in ("ingestion", "engine")}
    return Pipeline([node], namespace=source, parameters={"params:source": f"params:sources.{source}", **parameters})


def _columns(source: str, part: str) -> Pipeline:
    products = f"{part}_product_buckets"
    node = Node(
        read_columns,
        inputs=[products, "params:source", "params:engine"],
        outputs=f"{part}_buckets",
        name=f"deal_out_{part}",
        tags=["ingest"],
    )
    parameters = {"params:source": f"params:sources.{source}", "params:engine": "params:engine"}
    return Pipeline([node], namespace=source, inputs={products}, parameters=parameters)
