"""Wiring of ``reporting``."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.reporting.nodes import (
    describe_data,
    describe_ensemble,
    describe_variant,
    draw_network,
    draw_quality,
    show_products,
    write_report,
)

QUALITY = ["true_against_predicted", "errors_by_price", "residuals", "calibration"]
NETWORK = ["learning_curves", "gate_by_price"]
DATA = [
    "split_report",
    "train_alignment_report",
    "train_data_checks",
    "leak_report_if_there",
    "informed_sources_if_there",
]
SHARED = {"train_samples", "split_table", "train_products", "data_section"}


def create_pipeline(model: str, *, is_variant: bool) -> Pipeline:
    """Figures and page of a model that has been evaluated.

    Args:
        model: the variant, or the ensemble.
        is_variant: whether it was trained as one network.
    """
    nodes = [
        Node(
            draw_quality,
            inputs=["evaluation_results", "metrics_by_price", "interval_coverage"],
            outputs=QUALITY,
            name="draw_quality",
        ),
        Node(
            show_products,
            inputs=["best_and_worst", "train_products", "params:report"],
            outputs="products_section",
            name="show_products",
        ),
        Node(
            write_report,
            inputs=[
                "checkpoint",
                "evaluation_results",
                "interval_coverage",
                "train_samples",
                "split_table",
                "params:comparison",
                "params:seed",
                *QUALITY,
                "inside_section",
                "products_section",
                "data_section",
                "making_section",
            ],
            outputs="report",
            name="write_report",
        ),
        *(_variant_nodes() if is_variant else _ensemble_nodes()),
    ]
    settings = {"params:report", "params:comparison", "params:seed", *([] if is_variant else ["params:ensemble"])}
    data = Node(describe_data, inputs=DATA, outputs="data_section", name="describe_data", tags=["report"])
    return Pipeline([data]) + Pipeline(nodes, namespace=model, inputs=SHARED, parameters=settings, tags=["report"])


def _variant_nodes() -> list[Node]:
    described = ["checkpoint", "history", *NETWORK, "gate_report", "permutation_if_there", "retraining_if_there"]
    return [
        Node(draw_network, inputs=["checkpoint", "history", "gate_report"], outputs=NETWORK, name="draw_network"),
        Node(
            describe_variant,
            inputs=described,
            outputs=["inside_section", "making_section"],
            name="describe_model",
        ),
    ]


def _ensemble_nodes() -> list[Node]:
    return [
        Node(
            describe_ensemble,
            inputs=["checkpoint", "members", "params:ensemble"],
            outputs=["inside_section", "making_section"],
            name="describe_model",
        )
    ]
