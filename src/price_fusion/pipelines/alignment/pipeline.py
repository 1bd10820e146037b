"""Wiring of ``alignment``: products and the sources of one model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.alignment.nodes import choose_labelled, choose_unlabelled, report_alignment
from price_fusion.pipelines.ingestion.pipeline import NAMESPACE

TAG = "align"
CHOSEN = {
    **{name: name for name in ("train_samples", "split_table", "train_alignment_report", "test_samples")},
    **{name: name for name in ("train_sample_partitions", "test_sample_partitions")},
    "train_data_checks": "train_input_checks",
}
"""What a model has of its own once its products are chosen, by the name of what it takes the place of."""


def create_pipeline(model: str, sources: Sequence[str], part: str, *, partitioned: bool = False) -> Pipeline:
    """The products that a model may use.

    Args:
        model: the variant, or ``ensemble``.
        sources: that it reads.
        part: ``train`` (labelled) or ``test`` (to be predicted).
        partitioned: whether products are in partitions.
    """
    labelled = part == "train"
    shared = [f"{part}_samples", *(["split_table"] if labelled else []), f"{part}_data_checks"]
    chosen = [f"{part}_samples", *(["split_table"] if labelled else []), f"{part}_alignment_report"]
    outputs = [f"{model}.{name}" for name in (*chosen, *([f"{part}_input_checks"] if labelled else []))]
    name = f"choose_{model}_{part}"
    if not partitioned:
        choose = choose_labelled if labelled else choose_unlabelled
        inputs = [*shared, "params:ingestion", *_own(sources, part, "data_checks", "table")]
        return Pipeline([_node(choose, inputs, outputs, name)])
    from price_fusion.pipelines.alignment.partition_nodes import choose_in_memory, report_unlabelled  # needs pyarrow

    rows = f"{model}.{part}_sample_partitions"
    if labelled:
        inputs = [*shared, rows, "params:ingestion", *_own(sources, part, "data_checks")]
        choice = _node(choose_in_memory, inputs, outputs, name)
    else:
        choice = _node(report_unlabelled, [rows, "params:ingestion"], f"{model}.{part}_alignment_report", name)
    return Pipeline([_align(rows, sources, part, f"align_{model}_{part}"), choice])


def create_report_pipeline(sources: Sequence[str], part: str, *, partitioned: bool = False) -> Pipeline:
    """How products and all these sources fit together.

    Args:
        sources: that are ingested.
        part: ``train`` (labelled) or ``test`` (to be predicted).
        partitioned: whether products are in partitions.
    """
    report, name = f"{part}_alignment_report", f"align_{part}"
    if not partitioned:
        shared = [f"{part}_samples", f"{part}_data_checks", "params:ingestion"]
        inputs = [*shared, *_own(sources, part, "data_checks", "table")]
        return Pipeline([_node(report_alignment, inputs, report, name)])
    from price_fusion.pipelines.alignment.partition_nodes import report_labelled, report_unlabelled

    rows = f"{part}_sample_partitions"
    inputs = [rows, "params:ingestion"]
    if part == "train":
        inputs += ["train_data_checks", *_own(sources, part, "data_checks")]
    reported = _node(report_labelled if part == "train" else report_unlabelled, inputs, report, f"report_{part}")
    return Pipeline([_align(rows, sources, part, name), reported])


def of_model(model: str, pipeline: Pipeline) -> Pipeline:
    """A pipeline that reads the products chosen for a model instead of all."""
    read = pipeline.inputs()
    return Pipeline(pipeline, inputs={name: f"{model}.{own}" for name, own in CHOSEN.items() if name in read})


def _align(rows: str, sources: Sequence[str], part: str, name: str) -> Node:
    """Products in partitions, chosen by what these sources know of them."""
    from price_fusion.pipelines.alignment.partition_nodes import align_labelled, align_unlabelled

    inputs = [f"{part}_product_partitions", "params:ingestion", "params:compute", *_own(sources, part, "partitions")]
    return _node(align_labelled if part == "train" else align_unlabelled, inputs, rows, name)


def _own(sources: Sequence[str], part: str, *kinds: str) -> list[str]:
    """Datasets of these sources, kind by kind."""
    return [f"{source}.{part}_{kind}" for kind in kinds for source in sources]


def _node(function: Callable[..., Any], inputs: list[str], outputs: str | list[str], name: str) -> Node:
    return Node(function, inputs=inputs, outputs=outputs, name=name, namespace=NAMESPACE, tags=[TAG])
