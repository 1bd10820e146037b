"""Wiring of ``evaluation``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.evaluation.nodes import predict_evaluated, report_gate, summarise


def create_pipeline(variant: str, sources: Sequence[str]) -> Pipeline:
    """Evaluation of a variant's checkpoint."""
    tables = [f"{source}.train_table" for source in sources]
    nodes = [
        Node(
            predict_evaluated,
            inputs=["checkpoint", "train_samples", "split_table", *tables],
            outputs="evaluation_results",
            name="predict_evaluated",
        ),
        Node(
            report_gate,
            inputs=["checkpoint", "train_samples", "split_table", *tables],
            outputs="gate_report",
            name="report_gate",
        ),
        Node(
            summarise,
            inputs="evaluation_results",
            outputs=["metrics", "metrics_by_price", "best_and_worst"],
            name="summarise",
        ),
    ]
    return Pipeline(nodes, namespace=variant, inputs={"train_samples", "split_table", *tables}, tags=["evaluate"])
