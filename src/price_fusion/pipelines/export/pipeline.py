"""Wiring of ``export``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.export.nodes import export


def create_pipeline(variant: str, sources: Sequence[str]) -> Pipeline:
    """Export of a variant's checkpoint."""
    shared = ["train_samples", *(f"{source}.train_table" for source in sources)]
    node = Node(export, inputs=["checkpoint", *shared], outputs="export", name="export", tags=["export"])
    return Pipeline([node], namespace=variant, inputs=set(shared))
