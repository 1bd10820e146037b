"""Wiring of the ``fabricate`` pipeline."""

from kedro.pipeline import Node, Pipeline

from price_fusion.parameters import FabricationKind

from .nodes import fabricate_sample, fabricate_shop


def create_pipeline(kind: FabricationKind = "reference") -> Pipeline:
    """One node: parameters and a seed in, the fabricated sample or shop out."""
    is_shop = kind == "shop"
    return Pipeline(
        [
            Node(
                fabricate_shop if is_shop else fabricate_sample,
                inputs=["params:fabrication", "params:seed"],
                outputs="fabricated_shop" if is_shop else "fabricated_sample",
                name=f"fabricate_{'shop' if is_shop else 'sample'}",
                tags=["fabricate"],
            )
        ]
    )
