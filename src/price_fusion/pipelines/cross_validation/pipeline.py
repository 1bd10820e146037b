"""Wiring of ``cross_validation``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.cross_validation.nodes import cross_validate, measure_folds, predict_out_of_fold


def create_pipeline(variant: str, sources: Sequence[str]) -> Pipeline:
    """Cross-validation of a variant on its sources."""
    data = ["train_samples", "split_table"]
    tables = [f"{source}.train_table" for source in sources]
    settings = ["params:cross_validation", "params:comparison", "params:seed", "params:currency"]
    nodes = [
        Node(
            cross_validate,
            inputs=[*data, "params:variant", "params:cross_validation", "params:seed", "params:folder", *tables],
            outputs="fold_models",
            name="cross_validate",
        ),
        Node(
            predict_out_of_fold,
            inputs=["fold_models", *data, *tables],
            outputs="out_of_fold",
            name="predict_out_of_fold",
        ),
        Node(
            measure_folds,
            inputs=["out_of_fold", "train_samples", "params:comparison", "params:seed", "params:currency"],
            outputs=["out_of_fold_metrics", "metrics_by_fold"],
            name="measure_folds",
        ),
    ]
    return Pipeline(
        nodes,
        namespace=variant,
        inputs={*data, *tables},
        parameters={"params:variant": f"params:{variant}", **{name: name for name in settings}},
        tags=["cross_validate"],
    )
