"""Wiring of ``tuning``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.tuning.nodes import tune


def create_pipeline(variant: str, sources: Sequence[str]) -> Pipeline:
    """Tuning of a variant on its sources."""
    tables = [f"{source}.train_table" for source in sources]
    node = Node(
        tune,
        inputs=[
            "train_samples",
            "split_table",
            "params:variant",
            "params:tuning",
            "params:seed",
            "params:folder",
            *tables,
        ],
        outputs=["best_parameters", "tuning_trials", "tuning_summary"],
        name="tune",
        tags=["tune"],
    )
    return Pipeline(
        [node],
        namespace=variant,
        inputs={"train_samples", "split_table", *tables},
        parameters={
            "params:variant": f"params:{variant}",
            "params:tuning": "params:tuning",
            "params:seed": "params:seed",
        },
    )
