"""Wiring of ``final_fit``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kedro.pipeline import Node, Pipeline

from price_fusion.parameters import ESTIMATOR_KINDS
from price_fusion.pipelines.final_fit.nodes import fit_final, fit_final_ensemble

SHARED = ("train_samples", "split_table")
TAGS = ("final_fit", "predict")
"""``predict`` too: a run of that tag needs the model that predicts."""


def create_pipeline(variant: str, sources: Sequence[str], *, partitioned: bool = False) -> Pipeline:
    """The final fit of a variant; arguments as of the stage ``training``."""
    tables = [f"{source}.train_table" for source in sources]
    whole: list[str] = []
    function: Callable[..., Any] = fit_final
    if partitioned:
        from price_fusion.pipelines.final_fit.partition_nodes import fit_final_partitioned as function  # needs pyarrow

        whole = ["train_sample_partitions", "params:compute"]
    node = Node(
        function,
        inputs=[*whole, "checkpoint", *SHARED, "params:variant", "params:folder", *tables],
        outputs="final_checkpoint",
        name="fit_final",
        tags=TAGS,
    )
    return Pipeline(
        [node],
        namespace=variant,
        inputs={*whole[:1], *SHARED, *tables},
        parameters={"params:variant": f"params:{variant}", **{name: name for name in whole[1:]}},
    )


def create_ensemble_pipeline(ensemble: str, members: Sequence[str], sources: Sequence[str]) -> Pipeline:
    """The final fit of an ensemble: in one node, so that no model of an earlier one is between it and the evaluated one.

    Args:
        ensemble: its namespace.
        members: variants and estimators.
        sources: of all members together.
    """
    folders = [f"params:{member}.folder" for member in members]
    parameters = ["params:comparison", *(f"params:{member}" for member in members if member not in ESTIMATOR_KINDS)]
    tables = [f"{source}.train_table" for source in sources]
    node = Node(
        fit_final_ensemble,
        inputs=["checkpoint", *SHARED, *parameters[:1], *folders, *parameters[1:], *tables],
        outputs="final_checkpoint",
        name="fit_final",
        tags=TAGS,
    )
    return Pipeline([node], namespace=ensemble, inputs={*SHARED, *tables}, parameters={*parameters, *folders})
