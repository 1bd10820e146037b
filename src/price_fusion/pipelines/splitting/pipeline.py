"""Wiring of ``splitting``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.ingestion.pipeline import NAMESPACE
from price_fusion.pipelines.splitting.nodes import group_prices, split_products


def create_pipeline(tuned_sources: Sequence[str], *, partitioned: bool = False) -> Pipeline:
    """The split.

    Args:
        tuned_sources: sources that list the ids their encoder was tuned on.
        partitioned: whether products are in partitions; there they are split as they are dealt out.
    """
    inputs = {"samples": "train_samples", "currency": "params:currency"}
    inputs |= {source: f"{source}.tuned_on_ids" for source in tuned_sources}
    split: Callable[..., Any] = split_products
    if partitioned:
        from price_fusion.pipelines.splitting.partition_nodes import split_in_memory as split  # needs pyarrow

        inputs |= {"products": "train_product_partitions"}
    else:
        inputs |= {"splitting": "params:splitting", "seed": "params:seed"}
    return Pipeline(
        [
            Node(
                split,
                inputs=inputs,
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
