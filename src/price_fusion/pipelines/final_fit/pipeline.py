"""Wiring of ``final_fit``."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.parameters import ESTIMATOR_KINDS
from price_fusion.pipelines.final_fit.nodes import fit_final, fit_final_ensemble

SHARED = ("train_samples", "split_table")
TAGS = ("final_fit", "predict")
"""``predict`` too: a run of that tag needs the model that predicts."""


def create_pipeline(variant: str, sources: Sequence[str]) -> Pipeline:
    """The final fit of a variant."""
    tables = [f"{source}.train_table" for source in sources]
    node = Node(
        fit_final,
        inputs=["checkpoint", *SHARED, "params:variant", "params:folder", *tables],
        outputs="final_checkpoint",
        name="fit_final",
        tags=TAGS,
    )
    return Pipeline(
        [node],
        namespace=variant,
        inputs={*SHARED, *tables},
        parameters={"params:variant": f"params:{variant}"},
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
