"""Checkpoints and ensembles in the catalog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kedro.io import DatasetError

from price_fusion.datasets.checkpoint import CheckpointDataset
from price_fusion.errors import PriceFusionError
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.prediction.ensemble import EnsembleDraft, EnsembleMember


@pytest.fixture
def draft(checkpoint_path: Path, make_ensemble: Callable[..., EnsembleDraft]) -> EnsembleDraft:
    """An ensemble of one checkpoint."""
    member = EnsembleMember(
        name="tiny", kind="network", weight=1.0, models=("tiny-fold-0",), seconds=1.0, out_of_fold_smape=50.0
    )
    return replace(make_ensemble(members=(member,)), models={"tiny-fold-0": checkpoint_path})


def test_saves_and_opens(draft: EnsembleDraft, tmp_path: Path) -> None:
    dataset = CheckpointDataset(filepath=str(tmp_path / "ensemble"))
    assert not dataset.exists()
    dataset.save(draft)
    assert dataset.exists()
    loaded = dataset.load()
    assert loaded.members == list(draft.manifest.members)
    assert loaded.calibration is not None
    np.testing.assert_array_equal(loaded.calibration.residuals, 1)
    assert str(tmp_path) in repr(dataset)


def test_errors_are_the_librarys_own(draft: EnsembleDraft, tmp_path: Path) -> None:
    dataset = CheckpointDataset(filepath=str(tmp_path / "ensemble"))
    with pytest.raises(PriceFusionError, match="no ensemble here") as caught:
        dataset.load()
    assert isinstance(caught.value, DatasetError)
    dataset.save(draft)
    (tmp_path / "ensemble/tiny-fold-0").write_bytes(b"")
    with pytest.raises(PriceFusionError, match="tiny-fold-0: damaged"):
        dataset.load()


def test_a_checkpoint_is_not_saved_as_a_folder(make_checkpoint: Callable[..., Checkpoint], tmp_path: Path) -> None:
    dataset = CheckpointDataset(filepath=str(tmp_path / "model"))
    with pytest.raises(
        PriceFusionError, match=r"model is a checkpoint. Let its filepath in the catalog end in .safetensors"
    ):
        dataset.save(make_checkpoint())
    assert not dataset.exists()


def test_is_light_until_asked_for(modules_after: Callable[[str], set[str]]) -> None:
    loaded = modules_after("import price_fusion.datasets.checkpoint, price_fusion.datasets.fold_models")
    assert "torch" not in loaded
