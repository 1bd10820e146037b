"""Wiring of ``splitting``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.ingestion.pipeline import NAMESPACE
from price_fusion.pipelines.splitting.nodes import group_prices, split_products


def create_pipeline(tuned_sources: Sequence[str]) -> Pipeline:
    """The split.

    Args:
        tuned_sources: sources that list the ids their encoder was tuned on.
    """
    inputs = {
        "samples": "train_samples",
        "splitting": "params:splitting",
        "seed": "params:seed",
        "currency": "params:currency",
    }
    return Pipeline(
        [
            Node(
                split_products,
                inputs=inputs | {source: f"{source}.tuned_on_ids" for source in tuned_sources},
                outputs=["split_table", "split_report"],
                name="split_products",
                namespace=NAMESPACE,
                tags=["split"],
            ),
            Node(
                group_prices,
                inputs=["train_samples", "split_table", "params:currency", "params:price_groups"],
                outputs="price_groups",
                name="group_prices",
                namespace=NAMESPACE,
                tags=["split"],
            ),
        ]
    )
