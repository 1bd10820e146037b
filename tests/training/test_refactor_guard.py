"""A refactor must not change what is computed: losses of the first steps at a fixed seed, stored for each variant.

When a change is meant to alter them, run this file as a script and store what it prints.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from price_fusion.models.features import Features, SourceFeatures
from price_fusion.parameters import SourceParameters, VariantParameters
from price_fusion.training.loader.training_data import TrainingData
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.trainer import Trainer

REFERENCE = Path(__file__).parents[2] / "conf/reference"
"""Its compositions stay what they are, whatever becomes the default."""
SOURCES = {
    "clip_image": SourceParameters(width=24, group="image"),
    "siglip_image": SourceParameters(width=36, group="image"),
    "siglip_text": SourceParameters(width=32, group="text"),
    "qwen_text": SourceParameters(width=35, group="text", structural_columns=3),
}
PRODUCTS, BATCH, STEPS = 640, 32, 20
STORED = {
    "two_branch": 0.765662,
    "moe": 0.781022,
    "four_branch": 0.808173,
    "hierarchical": 0.776014,
}


def compositions() -> dict[str, Any]:
    """Sources and model of each variant."""
    models, fused = (
        yaml.safe_load((REFERENCE / name).read_text()) for name in ("parameters.yml", "parameters_sources.yml")
    )
    return {name: {"model": models[name]["model"], **section} for name, section in fused.items()}


def guard_loss(variant: str) -> float:
    """Mean training loss of 20 steps of a narrow model of this variant's composition."""
    section = compositions()[variant]
    section["model"]["branch"]["width"] = 64
    section["model"]["head"]["hidden"] = [64, 32]
    section["train"] = {"batch_size": BATCH, "precision": "float32", "device": "cpu", "source_dropout": 0.1}
    parameters = VariantParameters.model_validate(section)
    generator = torch.Generator().manual_seed(11)
    rows = torch.arange(PRODUCTS)
    features = {
        name: SourceFeatures(
            torch.randn(PRODUCTS, source.embedding_width, generator=generator),
            torch.rand(PRODUCTS, source.structural_columns, generator=generator) * 50,
            torch.where(torch.rand(PRODUCTS, generator=generator) < 0.05, -1, rows),
        )
        for name, source in SOURCES.items()
    }
    prices = torch.exp(2.6 + features["qwen_text"].vectors[:, 0] + 0.3 * torch.randn(PRODUCTS, generator=generator))
    chosen = {name: SOURCES[name] for name in parameters.sources}
    data = TrainingData(
        Features({name: features[name] for name in parameters.sources}),
        prices,
        rows,
        rows[:32],
        chosen,
        dict.fromkeys(chosen, "float32"),
        {},
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(variant, parameters, data, seed=5, run=RunFolder(Path(folder)))
        return trainer.loop.epoch(1, lambda _: None)


@pytest.mark.parametrize("variant", STORED)
def test_losses_of_the_first_steps_are_the_stored_ones(variant: str) -> None:
    assert guard_loss(variant) == pytest.approx(STORED[variant], rel=2e-4)


def test_each_variant_of_the_configuration_is_guarded() -> None:
    base = yaml.safe_load((REFERENCE.parent / "base/training/parameters.yml").read_text())
    assert set(STORED) == set(compositions()) == {name for name in base if not name.startswith("_")}


if __name__ == "__main__":
    for name in compositions():
        print(f'    "{name}": {guard_loss(name):.6f},')
