"""Wiring of ``inference``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.inference.nodes import price_products


def create_pipeline(variant: str, sources: Sequence[str]) -> Pipeline:
    """Prices of the unlabelled products by a variant's checkpoint."""
    tables = [f"{source}.test_table" for source in sources]
    node = Node(
        price_products,
        inputs=["checkpoint", "test_samples", "params:inference", "params:intervals", *tables],
        outputs=["predictions", "price_intervals"],
        name="price_products",
        tags=["predict"],
    )
    return Pipeline(
        [node], namespace=variant, inputs={"test_samples", *tables}, parameters={"params:inference", "params:intervals"}
    )
