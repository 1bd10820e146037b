"""Wiring of ``export``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.export.nodes import export


def create_pipeline(variant: str, sources: Sequence[str], *, final_fit: bool) -> Pipeline:
    """Export of a variant's final fit, or of the checkpoint that was evaluated."""
    model = "final_checkpoint" if final_fit else "checkpoint"
    shared = ["train_samples", *(f"{source}.train_table" for source in sources)]
    node = Node(export, inputs=[model, *shared], outputs="export", name="export", tags=["export"])
    return Pipeline([node], namespace=variant, inputs=set(shared))
