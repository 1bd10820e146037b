"""Wiring of ``training``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.training.nodes import train


def create_pipeline(variant: str, sources: Sequence[str]) -> Pipeline:
    """Training of a variant on its sources."""
    tables = [f"{source}.train_table" for source in sources]
    node = Node(
        train,
        inputs=[
            "train_samples",
            "split_table",
            "params:variant",
            "params:intervals",
            "params:currency",
            "params:seed",
            "params:folder",
            *tables,
        ],
        outputs=["checkpoint", "history"],
        name="train",
        tags=["train"],
    )
    return Pipeline(
        [node],
        namespace=variant,
        inputs={"train_samples", "split_table", *tables},
        parameters={
            "params:variant": f"params:{variant}",
            "params:intervals": "params:intervals",
            "params:currency": "params:currency",
            "params:seed": "params:seed",
        },
    )
