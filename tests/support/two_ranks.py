"""What two processes do together in tests; of a module that processes started afresh can import."""

from __future__ import annotations

import os
from typing import Any

import torch

from price_fusion.errors import TrainingError
from price_fusion.models.build import PriceModel
from price_fusion.models.features import Features, SourceFeatures
from price_fusion.models.losses import LOSSES
from price_fusion.parameters import ModelParameters, SourceParameters, TrainParameters
from price_fusion.training.auto import resolved
from price_fusion.training.loader.training_data import TrainingData
from price_fusion.training.loop import TrainingLoop
from price_fusion.training.ranks import Ranks, joined

SOURCES = {"a": SourceParameters(width=6, group="image")}


def gradient_of(rows: list[torch.Tensor], ranks: Ranks) -> dict[str, Any]:
    """Gradient and weights after a step on a batch of 20 products, of which each rank has some."""
    torch.manual_seed(0)
    model = PriceModel(
        SOURCES, ModelParameters.model_validate({"branch": {"width": 8}, "head": {"kind": "mlp", "hidden": [8]}})
    )
    options = TrainParameters(gradient_clip=100.0)
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(20, 6, generator=generator)
    features = Features({"a": SourceFeatures(vectors, torch.empty(20, 0), torch.arange(20))})
    prices, everything = torch.rand(20, generator=generator) * 50 + 1, torch.arange(20)
    data = TrainingData(features, prices, everything, everything[:0], SOURCES, {"a": "float32"}, {})
    loop = TrainingLoop("v", model, resolved(options, 20), data, seed=0, bf16=False, ranks=ranks)
    stretch = next(iter(loop.feed.epoch(loop.shuffler)))
    loop.weights.worker.eval()  # no dropout
    for batch in rows:
        loop.take(stretch, LOSSES["log_mae"], batch)
    weights = loop.weights
    return {"gradient": weights.gradients.tolist(), "loss": float(loop.loss_sum), "weights": weights.values.tolist()}


def talk(rank: int, port: int, results: Any) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    with joined() as ranks:
        found: dict[str, Any] = {"rank": ranks.rank, "largest": ranks.largest(rank, 5 - rank)}
        found["gathered"] = ranks.gathered(f"of {rank}")
        found["from_first"] = ranks.from_first(lambda: {"made by": rank})
        try:
            ranks.from_first(fail)
        except TrainingError as error:
            found["error"] = str(error)
        everything = torch.arange(20)
        own = [everything[:13], everything[:4]] if rank == 0 else [everything[13:], everything[:0]]
        found |= gradient_of(own, ranks)
    results.put(found)


def fail() -> None:
    raise TrainingError("the first one failed")
