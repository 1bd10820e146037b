"""Wiring of ``reporting``.

A page is written by one node that reads only what is on disk, so that a run can begin at any node of the evaluation.
"""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.reporting.nodes import (
    draw_network,
    draw_quality,
    write_ensemble_card,
    write_ensemble_report,
    write_variant_card,
    write_variant_report,
)

QUALITY = ["true_against_predicted", "errors_by_price", "residuals", "calibration"]
NETWORK = ["learning_curves", "gate_by_price"]
EVALUATION = {
    "model": "checkpoint",
    "results": "evaluation_results",
    "extremes": "best_and_worst",
    "coverage": "interval_coverage",
    **{name: f"{name}_figure" for name in QUALITY},
}
"""Datasets of every model, by the argument that takes them."""
VARIANT = {
    "history": "history",
    "gate": "gate_report",
    **{name: f"{name}_figure" for name in NETWORK},
}
"""Likewise, of a variant alone."""
DATA = {
    "samples": "train_samples",
    "split_table": "split_table",
    "products": "train_products",
    "split": "split_report",
    "alignment": "train_alignment_report",
    "checks": "train_data_checks",
}
"""Likewise, of no model."""
CARD = {
    "model": "checkpoint",
    "metrics": "metrics",
    "by_price": "metrics_by_price",
    "coverage": "interval_coverage",
    "split": "split_report",
    "alignment": "train_alignment_report",
    "about": "params:model_card",
}
"""What a model card is made from, by the argument that takes it."""
FINAL_FIT = {"final_fit": "params:final_fit"}
SETTINGS = {
    "folder": "params:reporting_folder",
    "report": "params:report",
    "comparison": "params:comparison",
    "seed": "params:seed",
    "options": "params:command_options",
    **FINAL_FIT,
}


def create_pipeline(model: str, *, is_variant: bool) -> Pipeline:
    """Figures and page of a model that has been evaluated.

    Args:
        model: the variant, or the ensemble.
        is_variant: whether it was trained as one network.
    """
    own = VARIANT if is_variant else {"members": "members", "ensemble": "params:ensemble"}
    nodes = [
        Node(
            draw_quality,
            inputs=["evaluation_results", "metrics_by_price", "interval_coverage", "price_groups"],
            outputs=[f"{name}_figure" for name in QUALITY],
            name="draw_quality",
        ),
        Node(
            write_variant_report if is_variant else write_ensemble_report,
            inputs=EVALUATION | own | DATA | SETTINGS,
            outputs="report",
            name="write_report",
        ),
        Node(
            write_variant_card if is_variant else write_ensemble_card,
            inputs=CARD | FINAL_FIT | ({"history": "history"} if is_variant else {"ensemble": "params:ensemble"}),
            outputs="model_card",
            name="write_model_card",
        ),
    ]
    if is_variant:
        inputs = ["checkpoint", "history", "gate_report"]
        nodes.append(
            Node(draw_network, inputs=inputs, outputs=[f"{name}_figure" for name in NETWORK], name="draw_network")
        )
    parameters = {name for name in (*SETTINGS.values(), *own.values(), *CARD.values()) if name.startswith("params:")}
    return Pipeline(
        nodes, namespace=model, inputs={"price_groups", *DATA.values()}, parameters=parameters, tags=["report"]
    )
