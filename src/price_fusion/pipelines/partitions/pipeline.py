"""Wiring of the stages with ``compute.partitions``. They have the names that they have without, but for their datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.parameters import ColumnSourceParameters, Source
from price_fusion.pipelines.final_fit.pipeline import TAGS as FINAL_FIT_TAGS
from price_fusion.pipelines.partitions.nodes import (
    align_labelled,
    align_unlabelled,
    deal_out,
    deal_out_labelled,
    deal_out_unlabelled,
    fit_final,
    price,
    put_in_order,
    read_columns,
    report_unlabelled,
    train,
)

DATA = ("train_samples", "split_table")
"""Of the labelled products in memory."""


def create_ingestion(sources: Mapping[str, Source], part: str, tuned_sources: Sequence[str]) -> Pipeline:
    """From raw files to samples.

    Args:
        sources: by name.
        part: ``train`` (labelled) or ``test`` (to be predicted).
        tuned_sources: sources that list the ids their encoder was tuned on.
    """
    labelled = part == "train"
    tables = [f"{source}.{part}_partitions" for source in sources]
    samples = f"{part}_sample_partitions"
    align = Node(
        align_labelled if labelled else align_unlabelled,
        inputs=[f"{part}_product_partitions", "params:ingestion", "params:compute", *tables],
        outputs=samples,
        name=f"align_{part}",
        tags=["ingest"],
    )
    dealt = [
        _columns(name, part) if isinstance(source, ColumnSourceParameters) else _embeddings(name, part)
        for name, source in sources.items()
    ]
    nodes = [_products(part, tuned_sources), align]
    if not labelled:  # of labelled products, gathering reports
        report = "test_alignment_report"
        nodes.append(
            Node(report_unlabelled, [samples, "params:ingestion"], report, name="report_test", tags=["ingest"])
        )
    return sum(dealt, Pipeline(nodes))


def create_training(variant: str, sources: Sequence[str]) -> Pipeline:
    """Training of a variant on its sources."""
    shared = ["train_sample_partitions", *DATA, *_both(sources)]
    settings = ["params:intervals", "params:currency", "params:seed", "params:compute"]
    node = Node(
        train,
        inputs=[*shared[:3], "params:variant", *settings, "params:folder", *shared[3:]],
        outputs=["checkpoint", "history"],
        name="train",
        tags=["train"],
    )
    parameters = {"params:variant": f"params:{variant}", **{name: name for name in settings}}
    return Pipeline([node], namespace=variant, inputs=set(shared), parameters=parameters)


def create_final_fit(variant: str, sources: Sequence[str]) -> Pipeline:
    """The final fit of a variant."""
    shared = ["train_sample_partitions", *DATA, *_both(sources)]
    node = Node(
        fit_final,
        inputs=["checkpoint", *shared[:3], "params:variant", "params:compute", "params:folder", *shared[3:]],
        outputs="final_checkpoint",
        name="fit_final",
        tags=FINAL_FIT_TAGS,
    )
    parameters = {"params:variant": f"params:{variant}", "params:compute": "params:compute"}
    return Pipeline([node], namespace=variant, inputs=set(shared), parameters=parameters)


def create_inference(model: str, sources: Sequence[str], *, final_fit: bool) -> Pipeline:
    """Prices of the unlabelled products by the final fit of a variant or ensemble, or by the one that was evaluated."""
    predicting = "final_checkpoint" if final_fit else "checkpoint"
    tables = [f"{source}.test_partitions" for source in sources]
    parameters = ["params:inference", "params:intervals", "params:final_fit", "params:compute"]
    nodes = [
        Node(
            price,
            inputs=[predicting, "test_sample_partitions", *parameters, *tables],
            outputs="prediction_partitions",
            name="price_products",
        ),
        Node(
            put_in_order,
            inputs=["prediction_partitions", "params:inference", "params:compute", "params:spill_folder"],
            outputs=["ordered_predictions", "ordered_price_intervals"],
            name="put_in_order",
        ),
    ]
    return Pipeline(
        nodes,
        namespace=model,
        inputs={"test_sample_partitions", *tables},
        parameters={*parameters, "params:spill_folder"},
        tags=["predict"],
    )


def _products(part: str, tuned_sources: Sequence[str]) -> Node:
    inputs = {
        "files": f"{part}_product_files",
        "seed": "params:seed",
        "compute": "params:compute",
        "spill": "params:spill_folder",
    }
    if part == "train":
        inputs |= {"splitting": "params:splitting"} | {name: f"{name}.tuned_on_ids" for name in tuned_sources}
    return Node(
        deal_out_labelled if part == "train" else deal_out_unlabelled,
        inputs=inputs,
        outputs=f"{part}_product_partitions",
        name=f"deal_out_{part}_products",
        tags=["ingest"],
    )


def _embeddings(source: str, part: str) -> Pipeline:
    node = Node(
        deal_out,
        inputs=[f"{part}_embeddings", "params:source", "params:ingestion", "params:compute"],
        outputs=f"{part}_partitions",
        name=f"deal_out_{part}",
        tags=["ingest"],
    )
    parameters = {f"params:{name}": f"params:{name}" for name in ("ingestion", "compute")}
    return Pipeline([node], namespace=source, parameters={"params:source": f"params:sources.{source}", **parameters})


def _columns(source: str, part: str) -> Pipeline:
    products = f"{part}_product_partitions"
    node = Node(
        read_columns,
        inputs=[products, "params:source", "params:compute"],
        outputs=f"{part}_partitions",
        name=f"deal_out_{part}",
        tags=["ingest"],
    )
    parameters = {"params:source": f"params:sources.{source}", "params:compute": "params:compute"}
    return Pipeline([node], namespace=source, inputs={products}, parameters=parameters)


def _both(sources: Sequence[str]) -> list[str]:
    """Train tables of sources in partitions, then those in memory."""
    return [f"{source}.train_{kind}" for kind in ("partitions", "table") for source in sources]
