"""Nodes of ensembling: members may fail where that is allowed, and are listed with honest figures alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from price_fusion.errors import DataError, TrainingError
from price_fusion.models.folds import FoldFolder, FoldModels
from price_fusion.parameters import ComparisonParameters, EnsembleParameters, IntervalParameters, VariantParameters
from price_fusion.pipelines.cross_validation.nodes import predict_out_of_fold
from price_fusion.pipelines.ensembling.nodes import (
    blend_members,
    cross_validate_estimator,
    cross_validate_variant,
    list_members,
)
from price_fusion.pipelines.ensembling.pipeline import create_pipeline
from price_fusion.pipelines.evaluation.nodes import predict_evaluated
from price_fusion.prediction.ensemble import load_ensemble, save_ensemble
from price_fusion.selection.cross_validation import LabelledData

TinyVariant = Callable[..., VariantParameters]


def ensemble_of(*members: str, seeds: int = 1, refits: int = 0, **options: Any) -> EnsembleParameters:
    return EnsembleParameters.model_validate(
        {"preset": "p", "presets": {"p": {"members": members, "seeds": seeds, "refits": refits}}, **options}
    )


@pytest.fixture(scope="module")
def labelled(make_labelled: Callable[..., LabelledData]) -> LabelledData:
    return make_labelled()


def network(
    labelled: LabelledData, variant: VariantParameters, folder: Path, parameters: EnsembleParameters
) -> FoldModels:
    arguments = (labelled.samples, labelled.split_table, variant, parameters, 7)
    return cross_validate_variant(*arguments, folder / "net", *labelled.tables.values())


def ridge(labelled: LabelledData, folder: Path) -> FoldModels:
    arguments = (labelled.samples, labelled.split_table, ComparisonParameters(), ensemble_of("ridge"), 7)
    return cross_validate_estimator(*arguments, folder / "ridge", *labelled.tables.values())


def blended(labelled: LabelledData, *models: FoldModels) -> Any:
    tables = tuple(labelled.tables.values())
    predictions = [predict_out_of_fold(one, labelled.samples, labelled.split_table, *tables) for one in models]
    parameters = ensemble_of("net", "ridge", weights="convex")
    return blend_members(labelled.samples, labelled.split_table, parameters, "EUR", *models, *predictions, *tables)


def test_the_preset_says_how_many_models(labelled: LabelledData, tiny_variant: TinyVariant, tmp_path: Path) -> None:
    models = network(labelled, tiny_variant(), tmp_path, ensemble_of("net", seeds=2, refits=3))
    assert [(model.fold, model.seed) for model in models.of_folds] == [
        (fold, seed) for fold in range(3) for seed in (7, 8)
    ]
    assert [(model.fold, model.seed) for model in models.final] == [(None, 7), (None, 8), (None, 9)]


def test_too_few_rows_to_calibrate_on_are_refused_before_anything_is_trained(
    make_labelled: Callable[..., LabelledData], tiny_variant: TinyVariant, tmp_path: Path
) -> None:
    few = make_labelled()
    few.split_table["fold"] = few.split_table["fold"].where(np.arange(len(few.split_table)) < 25, -1)
    with pytest.raises(DataError, match=r"^1\d of 90 labelled products are in a fold, expected at least 20"):
        ridge(few, tmp_path)
    with pytest.raises(DataError, match="expected at least 20"):
        network(few, tiny_variant(), tmp_path, ensemble_of("net", failed_members="leave_out"))
    assert not list(tmp_path.iterdir())


def test_an_ensemble_says_how_many_rows_its_models_had(labelled: LabelledData, tmp_path: Path) -> None:
    model = ridge(labelled, tmp_path)
    tables = tuple(labelled.tables.values())
    predictions = predict_out_of_fold(model, labelled.samples, labelled.split_table, *tables)

    def rows(refits: int) -> int:
        parameters = ensemble_of("ridge", refits=refits)
        draft = blend_members(labelled.samples, labelled.split_table, parameters, "EUR", model, predictions, *tables)
        found: int = draft.manifest.rows
        return found

    fold = labelled.split_table["fold"]
    assert rows(1) == (labelled.split_table["split"] != "holdout").sum()
    assert abs(rows(0) - (rows(1) - (fold >= 0).sum() / fold[fold >= 0].nunique())) < 1


def test_a_failed_member_ends_the_run_by_name(
    labelled: LabelledData, tiny_variant: TinyVariant, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TrainingError, match="net: the loss became"):
        network(labelled, tiny_variant(learning_rate=1e30, epochs=3), tmp_path, ensemble_of("net"))
    assert "member 'net' of the ensemble failed; ensemble.failed_members: leave_out" in caplog.text


def test_a_failed_member_may_be_left_out(
    labelled: LabelledData, tiny_variant: TinyVariant, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parameters = ensemble_of("net", "ridge", failed_members="leave_out")
    with caplog.at_level(logging.WARNING):
        failed = network(labelled, tiny_variant(learning_rate=1e30, epochs=3), tmp_path / "net", parameters)
    assert "member 'net' of the ensemble failed and is left out: net: the loss became" in caplog.text
    FoldFolder("net", failed.path).write(failed)
    draft = blended(labelled, FoldFolder("net", failed.path).read(), ridge(labelled, tmp_path / "ridge"))
    assert [member.name for member in draft.manifest.members] == ["ridge"]
    assert "the loss became" in draft.manifest.failed["net"]
    with pytest.raises(DataError, match=r"no member is left; failed: .*net: the loss became"):
        blended(labelled, failed)


def test_a_mistake_of_the_program_is_no_failed_member(
    labelled: LabelledData, tiny_variant: TinyVariant, tmp_path: Path
) -> None:
    broken = replace(labelled, samples=labelled.samples.drop(columns="group_key"))
    with pytest.raises(KeyError):
        network(broken, tiny_variant(keep="best"), tmp_path, ensemble_of("net", failed_members="leave_out"))


def test_members_are_listed_on_the_holdout_alone(
    labelled: LabelledData, tiny_variant: TinyVariant, tmp_path: Path
) -> None:
    models = [
        network(labelled, tiny_variant(), tmp_path / "net", ensemble_of("net")),
        ridge(labelled, tmp_path / "ridge"),
    ]
    save_ensemble(tmp_path / "e", blended(labelled, *models))
    ensemble, tables = load_ensemble(tmp_path / "e"), tuple(labelled.tables.values())
    listed = list_members(ensemble, labelled.samples, labelled.split_table, *tables)
    results = predict_evaluated(ensemble, labelled.samples, labelled.split_table, IntervalParameters(), *tables)
    assert set(results["split"]) == {"holdout"}
    assert listed["smape"].iloc[-1] == pytest.approx(results["smape"].mean())

    without = labelled.split_table.assign(split=labelled.split_table["split"].replace("holdout", "train"))
    of_it = replace(ensemble, manifest=ensemble.manifest.model_copy(update={"data": {}}))
    listed = list_members(of_it, labelled.samples, without, *tables)
    assert listed["smape"].isna().all()
    assert np.isfinite(listed["out_of_fold_smape"]).all()


def test_blending_does_not_look_at_the_holdout(
    labelled: LabelledData, tiny_variant: TinyVariant, tmp_path: Path
) -> None:
    held_out = labelled.split_table["split"] == "holdout"
    changed = replace(labelled, samples=labelled.samples.assign(price=labelled.samples["price"].mask(held_out, 3.0)))
    drafts = []
    for number, data in enumerate((labelled, changed)):
        home = tmp_path / str(number)
        models = [network(data, tiny_variant(), home / "net", ensemble_of("net")), ridge(data, home / "ridge")]
        draft = blended(data, *models)
        members = [member.model_copy(update={"seconds": 0}) for member in draft.manifest.members]
        drafts.append(replace(draft, manifest=draft.manifest.model_copy(update={"members": members})))
    assert drafts[0].manifest == drafts[1].manifest
    np.testing.assert_array_equal(drafts[0].calibration.residuals, drafts[1].calibration.residuals)


@pytest.mark.filterwarnings("ignore:One or more dataset names contain")  # as the registry does
def test_pipeline_has_a_node_of_each_member() -> None:
    pipeline = create_pipeline({"moe": ["words"], "ridge": ["words", "picture"]}, ["words", "picture"])
    names = {node.name for node in pipeline.nodes}
    assert names == {"blend_members", "list_members"} | {
        f"{member}.{name}_for_ensemble"
        for member in ("moe", "ridge")
        for name in ("cross_validate", "predict_out_of_fold")
    }
    assert pipeline.outputs() == {"ensemble.members"}
    assert "params:moe" in pipeline.inputs()
    assert "params:ridge" not in pipeline.inputs()
