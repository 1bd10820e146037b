"""Wiring of ``comparison``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, update_wrapper
from typing import Any

from kedro.pipeline import Node, Pipeline

from price_fusion.pipelines.comparison.nodes import (
    describe_contender,
    draw_leaderboard,
    log_verdict,
    measure_baselines,
    measure_learning_curve,
    rank,
    write_comparison_report,
)


def create_pipeline(variants: Mapping[str, Sequence[str]], sources: Sequence[str]) -> Pipeline:
    """The leaderboard of these variants, next to baselines fitted on all these sources.

    Args:
        variants: the sources of each variant, by its name.
        sources: what the baselines are fitted on.
    """
    data, settings = ["train_samples", "split_table"], ["params:comparison", "params:seed"]
    nodes = [
        Node(
            _of_variants(variants),
            inputs=[*data, *settings, *(f"{source}.train_table" for source in sources)],
            outputs="baseline_results",
            name="measure_baselines",
        ),
        Node(
            measure_learning_curve,
            inputs=[*data, *settings, *(f"{source}.train_table" for source in sources)],
            outputs="learning_curve",
            name="measure_learning_curve",
        ),
        Node(
            rank,
            inputs=[
                "baseline_results",
                *data,
                *settings,
                "price_groups",
                "learning_curve",
                "params:reporting_folder",
                *(f"{name}.contender" for name in variants),
            ],
            outputs=["leaderboard", "leaderboard_json", "verdict"],
            name="rank",
        ),
        Node(
            draw_leaderboard,
            inputs=["leaderboard", "learning_curve"],
            outputs=["leaderboard_figure", "learning_curve_figure"],
            name="draw_leaderboard",
        ),
        Node(
            write_comparison_report,
            inputs=[
                "leaderboard",
                "leaderboard_figure",
                "learning_curve_figure",
                "verdict",
                "baseline_results",
                "price_groups",
                "params:command_options",
                *(f"{name}.contender" for name in variants),
            ],
            outputs=["comparison_report", "verdict_of_page"],
            name="write_comparison_report",
        ),
        Node(log_verdict, inputs="verdict_of_page", outputs=None, name="log_verdict"),
    ]
    return Pipeline(nodes, tags=["report"])


def create_contender_pipeline(variant: str, sources: Sequence[str]) -> Pipeline:
    """What the leaderboard says of an evaluated variant."""
    shared = ["train_samples", "split_table", *(f"{source}.train_table" for source in sources)]
    node = Node(
        describe_contender,
        inputs=["checkpoint", "history", "evaluation_results", "params:variant", *shared],
        outputs="contender",
        name="describe_contender",
    )
    return Pipeline(
        [node],
        namespace=variant,
        inputs=set(shared),
        parameters={"params:variant": f"params:{variant}"},
        tags=["report"],
    )


def _of_variants(variants: Mapping[str, Sequence[str]]) -> Callable[..., Any]:
    """The node's function, which knows the sources of each variant; of the module, so that it can be pickled."""
    return update_wrapper(partial(measure_baselines, variants=variants), measure_baselines)
