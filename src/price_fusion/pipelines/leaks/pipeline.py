"""Wiring of ``leaks``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.leaks.nodes import check_overlaps, check_sources, measure_effect

TAG = "leaks"


def create_pipeline(sources: Sequence[str]) -> Pipeline:
    """The search for leaks in the split and in the sources.

    Args:
        sources: that are ingested.
    """
    labelled, unlabelled = ([f"{source}.{part}_table" for source in sources] for part in ("train", "test"))
    products = ["train_products", "train_samples", "split_table", "test_products", "test_samples"]
    return Pipeline(
        [
            Node(
                check_overlaps,
                inputs=[*products, "params:leaks", *labelled, *unlabelled],
                outputs=["overlapping_products", "leak_report"],
                name="check_overlaps",
            ),
            Node(
                check_sources,
                inputs=["train_samples", "split_table", "params:leaks", "params:seed", *labelled],
                outputs="informed_sources",
                name="check_sources",
            ),
        ],
        tags=[TAG],
    )


def create_effect_pipeline(model: str) -> Pipeline:
    """What the leaks found do to the SMAPE of an evaluated model.

    Args:
        model: the variant, or ``ensemble``.
    """
    shared = ["overlapping_products", "train_samples", "split_table"]
    node = Node(
        measure_effect,
        inputs=["evaluation_results", *shared, "params:comparison"],
        outputs="leak_effect",
        name="measure_effect",
    )
    return Pipeline([node], namespace=model, inputs=set(shared), parameters="params:comparison", tags=[TAG])
