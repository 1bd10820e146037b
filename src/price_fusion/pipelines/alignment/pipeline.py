"""Wiring of ``alignment``: products and the sources of one model."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.alignment.nodes import choose_labelled, choose_unlabelled, report_alignment
from price_fusion.pipelines.ingestion.pipeline import NAMESPACE

TAG = "align"
CHOSEN = {
    **{name: name for name in ("train_samples", "split_table", "train_alignment_report", "test_samples")},
    "train_data_checks": "train_input_checks",
}
"""What a model has of its own once its products are chosen, by the name of what it takes the place of."""


def create_pipeline(model: str, sources: Sequence[str], part: str) -> Pipeline:
    """The products that a model may use.

    Args:
        model: the variant, or ``ensemble``.
        sources: that it reads.
        part: ``train`` (labelled) or ``test`` (to be predicted).
    """
    own = [f"{source}.{part}_{kind}" for kind in ("data_checks", "table") for source in sources]
    labelled = part == "train"
    shared = [f"{part}_samples", *(["split_table"] if labelled else []), f"{part}_data_checks"]
    chosen = [f"{part}_samples", *(["split_table"] if labelled else []), f"{part}_alignment_report"]
    node = Node(
        choose_labelled if labelled else choose_unlabelled,
        inputs=[*shared, "params:ingestion", *own],
        outputs=[f"{model}.{name}" for name in (*chosen, *([f"{part}_input_checks"] if labelled else []))],
        name=f"choose_{model}_{part}",
        namespace=NAMESPACE,
        tags=[TAG],
    )
    return Pipeline([node])


def create_report_pipeline(sources: Sequence[str], part: str) -> Pipeline:
    """How products and all these sources fit together.

    Args:
        sources: that are ingested.
        part: ``train`` (labelled) or ``test`` (to be predicted).
    """
    own = [f"{source}.{part}_{kind}" for kind in ("data_checks", "table") for source in sources]
    node = Node(
        report_alignment,
        inputs=[f"{part}_samples", f"{part}_data_checks", "params:ingestion", *own],
        outputs=f"{part}_alignment_report",
        name=f"align_{part}",
        namespace=NAMESPACE,
        tags=[TAG],
    )
    return Pipeline([node])


def of_model(model: str, pipeline: Pipeline) -> Pipeline:
    """A pipeline that reads the products chosen for a model instead of all."""
    return Pipeline(
        pipeline, inputs={name: f"{model}.{own}" for name, own in CHOSEN.items() if name in pipeline.inputs()}
    )
