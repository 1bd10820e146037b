"""Wiring of ``training``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.training.nodes import train

SHARED = ("train_samples", "split_table")
SETTINGS = ("params:intervals", "params:currency", "params:seed")


def create_pipeline(variant: str, sources: Sequence[str], *, partitioned: bool = False) -> Pipeline:
    """Training of a variant on its sources.

    Args:
        variant: its name.
        sources: that it reads.
        partitioned: whether tables are in partitions, so that rows may be streamed.
    """
    tables = [f"{source}.train_table" for source in sources]
    whole: list[str] = []
    function: Callable[..., Any] = train
    if partitioned:
        from price_fusion.pipelines.training.partition_nodes import train_partitioned as function  # needs pyarrow

        whole = ["train_sample_partitions", "params:compute"]
    node = Node(
        function,
        inputs=[*whole, *SHARED, "params:variant", *SETTINGS, "params:folder", *tables],
        outputs=["checkpoint", "history"],
        name="train",
        tags=["train"],
    )
    return Pipeline(
        [node],
        namespace=variant,
        inputs={*whole[:1], *SHARED, *tables},
        parameters={"params:variant": f"params:{variant}", **{name: name for name in (*whole[1:], *SETTINGS)}},
    )
