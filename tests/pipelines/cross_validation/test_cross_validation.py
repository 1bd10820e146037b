"""Nodes of cross-validation: handed to the library as they are, and groups looked up by product."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from price_fusion.metrics import fold_metrics
from price_fusion.parameters import ComparisonParameters, CrossValidationParameters, VariantParameters
from price_fusion.pipelines.cross_validation.nodes import cross_validate, measure_folds, predict_out_of_fold
from price_fusion.pipelines.cross_validation.pipeline import create_pipeline
from price_fusion.selection.cross_validation import LabelledData, out_of_fold


def test_trains_as_many_models_as_asked_for_and_predicts(
    make_labelled: Callable[..., LabelledData], tiny_variant: Callable[..., VariantParameters], tmp_path: Path
) -> None:
    labelled = make_labelled()
    tables = labelled.tables.values()
    arguments = (labelled.samples, labelled.split_table, tiny_variant(), CrossValidationParameters(seeds=2), 7)
    models = cross_validate(*arguments, tmp_path / "tiny", *tables)
    assert [model.seed for model in models.models] == [7, 8] * 3
    found = predict_out_of_fold(models, labelled.samples, labelled.split_table, *tables)
    pd.testing.assert_frame_equal(found, out_of_fold(models, labelled))


def test_groups_are_those_of_the_products(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = pd.DataFrame({"sample_id": [5, 6, 7, 8], "group_key": [50, 60, 70, 80]})
    predictions = pd.DataFrame(
        {"sample_id": [8, 5, 7], "fold": [0, 1, 1], "price": [1.0, 2.0, 3.0], "predicted": [1.0, 2.0, 4.0]}
    ).assign(seed_7=1.0)
    seen: list[np.ndarray] = []
    real = fold_metrics.fold_metrics

    def noted(predictions: pd.DataFrame, groups: np.ndarray, *, resamples: int, seed: int) -> object:
        seen.append(groups)
        return real(predictions, groups, resamples=resamples, seed=seed)

    monkeypatch.setattr(fold_metrics, "fold_metrics", noted)
    metrics, by_fold = measure_folds(predictions, samples, ComparisonParameters(resamples=100), 1, "USD")
    assert seen[0].tolist() == [80, 50, 70]
    assert metrics["rows"] == by_fold["rows"].sum() == 3


@pytest.mark.filterwarnings("ignore:One or more dataset names contain")  # as the registry does
def test_pipeline_names_what_it_reads_and_writes() -> None:
    pipeline = create_pipeline("moe", ["words"])
    assert pipeline.outputs() == {"moe.out_of_fold_metrics", "moe.metrics_by_fold"}
    assert {"train_samples", "split_table", "words.train_table", "params:moe.folder"} <= pipeline.inputs()
    assert {node.name for node in pipeline.nodes} == {
        f"moe.{name}" for name in ("cross_validate", "predict_out_of_fold", "measure_folds")
    }
