"""Wiring of ``inference``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.inference.nodes import price_products


def create_pipeline(variant: str, sources: Sequence[str], *, final_fit: bool) -> Pipeline:
    """Prices of the unlabelled products by a variant's final fit, or by the checkpoint that was evaluated."""
    model = "final_checkpoint" if final_fit else "checkpoint"
    tables = [f"{source}.test_table" for source in sources]
    node = Node(
        price_products,
        inputs=[model, "test_samples", "params:inference", "params:intervals", "params:final_fit", *tables],
        outputs=["predictions", "price_intervals"],
        name="price_products",
        tags=["predict"],
    )
    return Pipeline(
        [node],
        namespace=variant,
        inputs={"test_samples", *tables},
        parameters={"params:inference", "params:intervals", "params:final_fit"},
    )
