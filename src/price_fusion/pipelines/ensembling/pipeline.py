"""Wiring of ``ensembling``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial, update_wrapper

from kedro.pipeline import Node, Pipeline

from price_fusion.parameters import ESTIMATOR_KINDS
from price_fusion.pipelines.cross_validation.nodes import predict_out_of_fold
from price_fusion.pipelines.ensembling.nodes import (
    blend_members,
    cross_validate_estimator,
    cross_validate_variant,
    list_members,
)

ENSEMBLE = "ensemble"
SHARED = ("train_samples", "split_table")


def create_pipeline(members: Mapping[str, Sequence[str]], sources: Sequence[str]) -> Pipeline:
    """Training, weighing and listing of members.

    Args:
        members: the sources of each member, by its name.
        sources: of all members together.
    """
    tables = [f"{source}.train_table" for source in sources]
    nodes = [
        Node(
            blend_members,
            inputs=[
                *SHARED,
                "params:ensemble",
                "params:currency",
                *(f"{member}.fold_models" for member in members),
                *(f"{member}.out_of_fold" for member in members),
                *tables,
            ],
            outputs=f"{ENSEMBLE}.checkpoint",
            name="blend_members",
        ),
        Node(
            list_members,
            inputs=[f"{ENSEMBLE}.checkpoint", *SHARED, *tables],
            outputs=f"{ENSEMBLE}.members",
            name="list_members",
        ),
    ]
    fitted = (_member(*member, ending="_for_ensemble") for member in members.items())
    return Pipeline([*nodes, *fitted], tags=["ensemble"])


def create_alone(estimator: str, sources: Sequence[str]) -> Pipeline:
    """An estimator that predicts by itself: an ensemble of one member, of its name.

    Args:
        estimator: its kind.
        sources: that it reads.
    """
    tables = [f"{source}.train_table" for source in sources]
    settings = {"params:ensemble", "params:currency"}
    blend = Node(
        update_wrapper(partial(blend_members, name=estimator), blend_members),
        inputs=[*SHARED, "params:ensemble", "params:currency", "fold_models", "out_of_fold", *tables],
        outputs="checkpoint",
        name="calibrate",
        tags=["ensemble"],
    )
    alone = Pipeline([blend], namespace=estimator, inputs={*SHARED, *tables}, parameters=settings)
    return Pipeline([_member(estimator, sources), alone])


def _member(name: str, sources: Sequence[str], *, ending: str = "") -> Pipeline:
    """Cross-validation of one member, which may be allowed to fail.

    Args:
        name: of the member.
        sources: that it reads.
        ending: of the nodes' names. A member's nodes read the products of the ensemble, so they are not those that the model
            has by itself.
    """
    tables = [f"{source}.train_table" for source in sources]
    settings = {"params:ensemble": "params:ensemble", "params:seed": "params:seed"}
    estimator = name in ESTIMATOR_KINDS
    own = "params:comparison" if estimator else "params:variant"
    nodes = [
        Node(
            cross_validate_estimator if estimator else cross_validate_variant,
            inputs=[*SHARED, own, *settings, "params:folder", *tables],
            outputs="fold_models",
            name=f"cross_validate{ending}",
        ),
        Node(
            predict_out_of_fold,
            inputs=["fold_models", *SHARED, *tables],
            outputs="out_of_fold",
            name=f"predict_out_of_fold{ending}",
        ),
    ]
    mapped = {own: "params:comparison" if estimator else f"params:{name}"}
    return Pipeline(nodes, namespace=name, inputs={*SHARED, *tables}, parameters=settings | mapped, tags=["ensemble"])
