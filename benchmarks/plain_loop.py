"""The loop to compare with: float32, a DataLoader over per-item dictionaries, and nothing done for speed.

It has the same model, batch size, loss and gradient clipping as our training. To be kind to it, its vectors are in memory
in float32 from the start, and it keeps no average of the weights.
"""

from __future__ import annotations

import price_fusion  # noqa: F401  # isort: skip - before torch: it sets how torch's threads wait

from collections.abc import Iterator, Mapping
from itertools import islice
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from price_fusion.data.table import EmbeddingTable
from price_fusion.models.build import PriceModel
from price_fusion.models.layers.branches import SourceBatch
from price_fusion.models.losses import LOSSES
from price_fusion.parameters import TrainParameters
from timing import ImpossibleFigureError

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
    """Training of a model, some steps at a time; where these exceed an epoch, the next begins.

    Args:
        model: on the device on which to train.
        items: to train on.
        options: batch size, loss, AdamW and clipping.
        workers: processes of the DataLoader; 0: this one alone.
    """

    def __init__(self, model: PriceModel, items: ProductItems, options: TrainParameters, workers: int = 0) -> None:
        self.model = model.train()
        self.options = options
        self.loss_function = LOSSES[options.loss]
        self.device = next(model.parameters()).device
        self.batch_size = min(options.batch_size, len(items))
        self.batches = endless(
            DataLoader(
                items,
                batch_size=self.batch_size,
                shuffle=True,
                drop_last=True,
                num_workers=workers,
                persistent_workers=workers > 0,
                pin_memory=self.device.type == "cuda",
            )
        )
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=options.learning_rate, betas=options.betas, weight_decay=options.weight_decay
        )

    def run(self, steps: int) -> int:
        """Train for some steps; the rows that they were taken on."""
        rows = 0
        for batch in islice(self.batches, steps):
            prices = batch["price"].to(self.device, non_blocking=True)
            loss = self.loss_function(self.model(model_input(batch, self.device)), prices)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.gradient_clip)
            self.optimizer.step()
            if not isfinite(loss.item()):
                raise ImpossibleFigureError(f"the loss of the plain loop became {loss.item()}: it trains nothing.")
            rows += len(prices)
        return rows


def endless(loader: DataLoader[Item]) -> Iterator[Item]:
    """Batches of one epoch after another."""
    while True:
        yield from loader


@torch.no_grad()
def plain_prices(model: PriceModel, items: ProductItems, batch_size: int = 256) -> list[float]:
    """Prices of all products."""
    model.eval()
    prices: list[float] = []
    for batch in DataLoader(items, batch_size=batch_size):
        prices += model(model_input(batch)).expm1().clamp_min(0).tolist()
    return prices


def model_input(batch: Mapping[str, Any], device: torch.device | None = None) -> dict[str, SourceBatch]:
    """A collated batch as the models take it, on a device."""
    sources: Mapping[str, Mapping[str, Tensor]] = batch["sources"]
    return {
        name: SourceBatch(**{part: tensor.to(device, non_blocking=True) for part, tensor in values.items()})
        for name, values in sources.items()
    }
