"""A small synthetic problem: two sources, prices that depend on them, and a tiny model that learns in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from price_fusion.models.features import Features, SourceFeatures
from price_fusion.parameters import SourceParameters, VariantParameters
from price_fusion.training.loader.training_data import TrainingData
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.trainer import train_variant
from price_fusion.training.training_run import Trained

ROWS = 400
SOURCES = {
    "a": SourceParameters(width=10, group="image"),
    "b": SourceParameters(width=11, group="text", structural_columns=3),
}


def make_data() -> TrainingData:
    """Prices that depend on the first embedding columns of both sources and on a quantity."""
    generator = torch.Generator().manual_seed(7)
    a, b = (torch.randn(ROWS, width, generator=generator) for width in (10, 8))
    quantity = torch.rand(ROWS, 3, generator=generator) * 5
    prices = torch.exp(2.5 + 0.8 * a[:, 0] / a.norm(dim=1) * 3 + 0.5 * b[:, 0] + 0.1 * quantity[:, 0])
    rows = torch.arange(ROWS)
    missing = torch.where(torch.rand(ROWS, generator=generator) < 0.1, -1, rows)
    features = Features({"a": SourceFeatures(a, torch.empty(ROWS, 0), missing), "b": SourceFeatures(b, quantity, rows)})
    return TrainingData(
        features, prices, rows[:300], rows[300:], SOURCES, {"a": "float32", "b": "float32"}, {"a": "x", "b": "y"}
    )


def variant(head: str = "mlp", **train: Any) -> VariantParameters:
    return VariantParameters.model_validate(
        {
            "sources": ["a", "b"],
            "model": {
                "branch": {"width": 16},
                "fusion": {"kind": "attention", "heads": 2},
                "head": {"kind": head, "hidden": [16, 8]},
            },
            "train": {"epochs": 6, "batch_size": 64, "precision": "float32", "device": "cpu"} | train,
        }
    )


def fit(path: Path, parameters: VariantParameters, seed: int = 1, data: TrainingData | None = None) -> Trained:
    return train_variant("v", parameters, data or make_data(), seed=seed, run=RunFolder(path))


def smapes(trained: Trained) -> list[float]:
    return [record["smape"] for record in trained.history]
