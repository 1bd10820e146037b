"""Wiring of ``inference``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.inference.nodes import price_products

SETTINGS = ("params:inference", "params:intervals", "params:final_fit")
TAG = "predict"


def create_pipeline(variant: str, sources: Sequence[str], *, final_fit: bool, partitioned: bool = False) -> Pipeline:
    """Prices of the unlabelled products.

    Args:
        variant: the model, or ``ensemble``.
        sources: that it reads.
        final_fit: whether its final fit predicts, or the checkpoint that was evaluated.
        partitioned: whether products are in partitions.
    """
    model = "final_checkpoint" if final_fit else "checkpoint"
    tables = [] if partitioned else [f"{source}.test_table" for source in sources]
    samples, settings = "test_samples", list(SETTINGS)
    if partitioned:
        samples = "test_sample_partitions"
        settings += ["params:compute", "params:spill_folder"]
        nodes = _partition_nodes([model, samples, *settings[:-1]])
    else:
        node = Node(
            price_products,
            inputs=[model, samples, *settings, *tables],
            outputs=["predictions", "price_intervals"],
            name="price_products",
        )
        nodes = [node]
    return Pipeline(nodes, namespace=variant, inputs={samples, *tables}, parameters=set(settings), tags=[TAG])


def _partition_nodes(inputs: list[str]) -> list[Node]:
    """Prices partition by partition, and then in the order of the product file."""
    from price_fusion.pipelines.inference.partition_nodes import price_partitions, put_in_order  # needs pyarrow

    return [
        Node(price_partitions, inputs=inputs, outputs="prediction_partitions", name="price_products"),
        Node(
            put_in_order,
            inputs=["prediction_partitions", "params:inference", "params:compute", "params:spill_folder"],
            outputs=["ordered_predictions", "ordered_price_intervals"],
            name="put_in_order",
        ),
    ]
