"""New products are predicted by the evaluated training, repeated on all labelled rows, unless one parameter says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from price_fusion.data.roles import EVALUATED
from price_fusion.models.checkpoint import checkpoint_digest, load_checkpoint
from support.projects import SHORT, Project

MODEL = Path("data/06_models/moe")
PRICES = Path("data/07_model_output/moe/test_out.csv")
OTHER = f"{SHORT},moe.train.weight_decay=0.3"


@pytest.fixture
def project(trained_project: Project, copy_of: Callable[[Project], Project]) -> Project:
    return copy_of(trained_project)


def fitted_after(project: Project) -> str | None:
    """Digest of the evaluated model that the final fit says it repeats."""
    return load_checkpoint(project.path / MODEL / "final/checkpoint.safetensors").data.get(EVALUATED)


def evaluated(project: Project) -> str:
    return checkpoint_digest(load_checkpoint(project.path / MODEL / "checkpoint.safetensors"))


def prices(project: Project) -> list[float]:
    return pd.read_csv(project.path / PRICES)["price"].tolist()


def test_all_labelled_rows_predict_and_one_parameter_turns_it_off(project: Project) -> None:
    final = load_checkpoint(project.path / MODEL / "final/checkpoint.safetensors")
    samples = pd.read_parquet(project.path / "data/03_primary/train_samples.parquet")
    assert final.rows == len(samples) == 300
    assert fitted_after(project) == evaluated(project)
    train_rows = load_checkpoint(project.path / MODEL / "checkpoint.safetensors").rows
    assert train_rows is not None
    assert 0.65 * 300 < train_rows < 0.75 * 300
    before = prices(project)

    again = project.kedro("run", "--pipelines", "predict_moe", "--params", SHORT).stdout
    assert "moe epoch 1/2" not in again  # it is there already
    assert "predicted by the final fit, fitted on 300 labelled rows" in " ".join(again.split())
    assert prices(project) == before

    off = project.kedro(
        "run", "--pipelines", "predict_moe", "--only-missing-outputs", "--params", f"{SHORT},final_fit=false"
    ).stdout
    assert "final_fit is false, was true" in off
    assert f"predicted by the evaluated model, fitted on {train_rows} labelled rows" in " ".join(off.split())
    assert prices(project) != before


def test_the_final_fit_of_an_earlier_training_does_not_predict(project: Project) -> None:
    before = prices(project)
    project.kedro("run", "--pipelines", "train_moe", "--nodes", "moe.train", "--params", OTHER)
    assert fitted_after(project) != evaluated(project)
    refused = project.kedro(
        "run", "--pipelines", "predict_moe", "--nodes", "moe.price_products", "--params", OTHER, fails=True
    )
    assert "final fit is stale" in " ".join((refused.stdout + refused.stderr).split())
    assert prices(project) == before

    project.kedro("run", "--pipelines", "predict_moe", "--only-missing-outputs", "--params", OTHER)
    assert fitted_after(project) == evaluated(project)
    assert prices(project) != before
