"""Wiring of the ``fabricate`` pipeline."""

from kedro.pipeline import Node, Pipeline

from .nodes import fabricate_sample


def create_pipeline() -> Pipeline:
    """One node: parameters and a seed in, the fabricated sample out."""
    return Pipeline(
        [
            Node(
                fabricate_sample,
                inputs=["params:fabrication", "params:seed"],
                outputs="fabricated_sample",
                name="fabricate_sample",
                tags=["fabricate"],
            )
        ]
    )
