"""Wiring of ``ablation``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.ablation.nodes import draw_importance, permute_sources, retrain_without_sources


def create_pipeline(variant: str, sources: Sequence[str]) -> Pipeline:
    """What a variant's sources are worth to it."""
    data = ["train_samples", "split_table"]
    settings = ["params:ablation", "params:comparison", "params:seed"]
    tables = [f"{source}.train_table" for source in sources]
    nodes = [
        Node(
            permute_sources,
            inputs=["checkpoint", *data, *settings, *tables],
            outputs="permutation_importance",
            name="permute_sources",
        ),
        Node(
            retrain_without_sources,
            inputs=[*data, "params:variant", *settings, "params:folder", *tables],
            outputs="retraining_importance",
            name="retrain_without_sources",
        ),
        Node(
            draw_importance,
            inputs=["permutation_importance", "retraining_importance"],
            outputs="ablation_figure",
            name="draw_importance",
        ),
    ]
    return Pipeline(
        nodes,
        namespace=variant,
        inputs={*data, *tables},
        parameters={"params:variant": f"params:{variant}", **{name: name for name in settings}},
        tags=["ablate"],
    )
