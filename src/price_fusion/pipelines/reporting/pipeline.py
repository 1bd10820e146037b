"""Wiring of ``reporting``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.reporting.nodes import measure_yardsticks, rank


def create_pipeline(variants: Sequence[str], sources: Sequence[str]) -> Pipeline:
    """The leaderboard of these variants, next to yardsticks fitted on all these sources."""
    tables = [f"{source}.train_table" for source in sources]
    return Pipeline(
        [
            Node(
                measure_yardsticks,
                inputs=["train_samples", "split_table", *tables],
                outputs="yardstick_metrics",
                name="measure_yardsticks",
            ),
            Node(
                rank,
                inputs={"yardsticks": "yardstick_metrics"} | {name: f"{name}.metrics" for name in variants},
                outputs="leaderboard",
                name="rank",
            ),
        ],
        tags=["report"],
    )
