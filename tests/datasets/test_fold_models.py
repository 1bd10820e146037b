"""The models of a cross-validation in the catalog: they exist once all are there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from kedro.io import DatasetError

from price_fusion.datasets.fold_models import FoldModelsDataset
from price_fusion.errors import PriceFusionError
from price_fusion.models.folds import FoldModel, FoldModels
from price_fusion.storage.files import sha256


@pytest.fixture
def models(tmp_path: Path) -> FoldModels:
    (tmp_path / "folds").mkdir()
    (tmp_path / "folds/fold-0").touch()
    model = FoldModel(0, 41, "fold-0", "0f", "d0", 1.5, {"fold-0": sha256(tmp_path / "folds/fold-0")})
    return FoldModels("tiny", "network", (model,), tmp_path / "folds")


@pytest.fixture
def dataset(models: FoldModels) -> FoldModelsDataset:
    return FoldModelsDataset(filepath=str(models.path), model="tiny")


def test_keeps_the_manifest(dataset: FoldModelsDataset, models: FoldModels) -> None:
    assert not dataset.exists()
    dataset.save(models)
    assert dataset.exists()
    assert dataset.load() == models


def test_incomplete_ones_do_not_exist(dataset: FoldModelsDataset, models: FoldModels) -> None:
    dataset.save(replace(models, complete=False))
    assert not dataset.exists()
    dataset.save(models)
    models.path_of(models.models[0]).write_text("damaged")
    assert not dataset.exists()
    models.path_of(models.models[0]).unlink()
    assert not dataset.exists()


def test_errors_are_the_librarys_own(dataset: FoldModelsDataset) -> None:
    with pytest.raises(PriceFusionError, match="no models of cross-validation here") as caught:
        dataset.load()
    assert isinstance(caught.value, DatasetError)  # Kedro passes it on as it is


def test_say_where_they_are(dataset: FoldModelsDataset, models: FoldModels) -> None:
    assert str(models.path) in repr(dataset)
