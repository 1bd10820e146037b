"""Wiring of ``tuning``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.tuning.nodes import tune


def create_pipeline(variant: str, sources: Sequence[str]) -> Pipeline:
    """Tuning of a variant on its sources."""
    data, settings = ["train_samples", "split_table"], ["params:tuning", "params:seed"]
    tables = [f"{source}.train_table" for source in sources]
    node = Node(
        tune,
        inputs=[*data, "params:variant", *settings, "params:folder", *tables],
        outputs=["best_parameters", "tuning_trials", "tuning_summary"],
        name="tune",
        tags=["tune"],
    )
    return Pipeline(
        [node],
        namespace=variant,
        inputs={*data, *tables},
        parameters={"params:variant": f"params:{variant}", **{name: name for name in settings}},
    )
