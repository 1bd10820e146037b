"""Final fits in the catalog: stale once the model that was evaluated is another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from kedro.io import DatasetError

from price_fusion.data.roles import EVALUATED
from price_fusion.datasets.checkpoint import CheckpointDataset
from price_fusion.models.checkpoint import Checkpoint, checkpoint_digest
from price_fusion.prediction.ensemble import EnsembleDraft

Make = Callable[..., Checkpoint]


def test_a_checkpoint_is_stale_once_the_evaluated_one_is_another(make_checkpoint: Make, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    evaluated = CheckpointDataset(filepath=str(path))
    final = CheckpointDataset(filepath=str(tmp_path / "final.safetensors"), evaluated={"filepath": str(path)})
    first = make_checkpoint()
    evaluated.save(first)
    final.save(make_checkpoint(data={EVALUATED: checkpoint_digest(first)}))
    assert final.exists()
    assert final.load().data[EVALUATED] == checkpoint_digest(first)

    evaluated.save(make_checkpoint("concat"))
    assert not final.exists()
    with pytest.raises(DatasetError, match=r"tiny: its final fit is stale.*--pipelines predict_tiny.*final_fit=false"):
        final.load()

    path.unlink()  # where only final fits are brought to, they predict
    assert final.exists()


def test_an_ensemble_is_stale_once_the_evaluated_one_is_another(
    make_ensemble: Callable[..., EnsembleDraft], tmp_path: Path
) -> None:
    evaluated = CheckpointDataset(filepath=str(tmp_path / "ensemble"))
    evaluated.save(make_ensemble())
    digest = evaluated.load().digest
    final = CheckpointDataset(filepath=str(tmp_path / "final"), evaluated={"filepath": str(tmp_path / "ensemble")})
    final.save(make_ensemble(data={EVALUATED: digest}))
    assert final.exists()
    evaluated.save(make_ensemble(median_price=8.0))
    assert not final.exists()
    with pytest.raises(DatasetError, match=r"ensemble: its final fit is stale.*--pipelines ensemble\)"):
        final.load()
