"""Wiring of ``final_fit``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kedro.pipeline import Node, Pipeline

from price_fusion.parameters import ESTIMATOR_KINDS
from price_fusion.pipelines.final_fit.nodes import blend_final, fit_final, fit_final_estimator, fit_final_variant

SHARED = ("train_samples", "split_table")
TAGS = ("final_fit", "predict")
"""Whoever asks for prices asks for the model that gives them."""


def create_pipeline(variant: str, sources: Sequence[str]) -> Pipeline:
    """The final fit of a variant."""
    tables = [f"{source}.train_table" for source in sources]
    node = Node(
        fit_final,
        inputs=["checkpoint", *SHARED, "params:variant", "final_run_folder", *tables],
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


def create_ensemble_pipeline(ensemble: str, members: Mapping[str, Sequence[str]], sources: Sequence[str]) -> Pipeline:
    """The final fits of an ensemble's members, and their blend.

    Args:
        ensemble: its namespace.
        members: the sources of each member, by its name.
        sources: of all members together.
    """
    tables = [f"{source}.train_table" for source in sources]
    blend = Node(
        blend_final,
        inputs=[f"{ensemble}.checkpoint", "train_samples", *(f"{member}.final_models" for member in members), *tables],
        outputs=f"{ensemble}.final_checkpoint",
        name="blend_final",
        tags=TAGS,
    )
    return Pipeline([*(_member(ensemble, *member) for member in members.items()), blend])


def _member(ensemble: str, name: str, sources: Sequence[str]) -> Node:
    """The final fits of one member: not in its namespace, which ends before the blend."""
    tables = [f"{source}.train_table" for source in sources]
    estimator = name in ESTIMATOR_KINDS
    own = "params:comparison" if estimator else f"params:{name}"
    return Node(
        fit_final_estimator if estimator else fit_final_variant,
        inputs=[f"{ensemble}.checkpoint", *SHARED, own, f"{name}.final_folder", *tables],
        outputs=f"{name}.final_models",
        name=f"fit_final_{name}",
        tags=TAGS,
    )
