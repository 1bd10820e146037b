"""The loop to compare with: float32, a DataLoader over per-item dictionaries, and nothing done for speed.

It has the same model, batch size, loss and gradient clipping as the engine. To be kind to it, its vectors are in memory
in float32 from the start, and it keeps no average of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from price_fusion.fusion.losses import LOSSES
from price_fusion.fusion.models.branches import SourceBatch
from price_fusion.fusion.models.build import PriceModel
from price_fusion.fusion.tables.table import EmbeddingTable
from price_fusion.parameters import TrainParameters

Item = dict[str, Any]


class ProductItems(Dataset[Item]):
    """Products as dictionaries: ``price``, and for each source ``vectors``, ``structural`` and ``present``."""

    def __init__(self, samples: pd.DataFrame, tables: Mapping[str, EmbeddingTable], rows: int) -> None:
        self.prices = samples["price"].to_numpy(np.float32)[:rows]
        self.vectors = {name: table.vectors[0][:rows].astype(np.float32) for name, table in tables.items()}
        self.structural = {name: np.array(table.structural[:rows]) for name, table in tables.items()}

    def __len__(self) -> int:
        return len(self.prices)

    def __getitem__(self, index: int) -> Item:
        sources = {
            name: {
                "vectors": torch.from_numpy(vectors[index]),
                "structural": torch.from_numpy(self.structural[name][index]),
                "present": True,
            }
            for name, vectors in self.vectors.items()
        }
        return {"price": self.prices[index], "sources": sources}


class PlainTraining:
    """Training of a model, some steps at a time."""

    def __init__(self, model: PriceModel, items: ProductItems, options: TrainParameters) -> None:
        self.model = model.train()
        self.options = options
        self.loss_function = LOSSES[options.loss]
        self.loader = DataLoader(items, batch_size=options.batch_size, shuffle=True)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=options.learning_rate, betas=options.betas, weight_decay=options.weight_decay
        )

    def run(self, steps: int) -> float:
        """Train for some steps; the sum of their losses."""
        total = 0.0
        for batch in islice(self.loader, steps):
            loss = self.loss_function(self.model(model_input(batch)), batch["price"])
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.gradient_clip)
            self.optimizer.step()
            total += loss.item()
        return total


@torch.no_grad()
def plain_prices(model: PriceModel, items: ProductItems, batch_size: int = 256) -> list[float]:
    """Prices of all products."""
    model.eval()
    prices: list[float] = []
    for batch in DataLoader(items, batch_size=batch_size):
        prices += model(model_input(batch)).expm1().clamp_min(0).tolist()
    return prices


def model_input(batch: Mapping[str, Any]) -> dict[str, SourceBatch]:
    """A collated batch as the models take it."""
    sources: Mapping[str, Mapping[str, Tensor]] = batch["sources"]
    return {name: SourceBatch(**values) for name, values in sources.items()}
