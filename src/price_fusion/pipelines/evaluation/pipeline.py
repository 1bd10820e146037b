"""Wiring of ``evaluation``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.evaluation.nodes import measure_intervals, predict_evaluated, report_gate, summarise


def create_pipeline(model: str, sources: Sequence[str], *, has_gate: bool = True) -> Pipeline:
    """Evaluation of a checkpoint.

    Args:
        model: the variant, or ``ensemble``.
        sources: that it reads.
        has_gate: whether it may have a gate to report on.
    """
    tables = [f"{source}.train_table" for source in sources]
    nodes = [
        Node(
            predict_evaluated,
            inputs=["checkpoint", "train_samples", "split_table", "params:intervals", *tables],
            outputs="evaluation_results",
            name="predict_evaluated",
        ),
        Node(
            measure_intervals,
            inputs=["evaluation_results", "params:intervals", "price_groups"],
            outputs=["interval_coverage", "interval_summary"],
            name="measure_intervals",
        ),
        Node(
            summarise,
            inputs=["evaluation_results", "price_groups"],
            outputs=["metrics", "metrics_by_price", "best_and_worst"],
            name="summarise",
        ),
    ]
    if has_gate:
        inputs = ["checkpoint", "train_samples", "split_table", "price_groups", *tables]
        nodes.append(Node(report_gate, inputs=inputs, outputs="gate_report", name="report_gate"))
    return Pipeline(
        nodes,
        namespace=model,
        inputs={"train_samples", "split_table", "price_groups", *tables},
        parameters="params:intervals",
        tags=["evaluate"],
    )
