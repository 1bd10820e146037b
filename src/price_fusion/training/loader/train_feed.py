"""Stretches: train rows in the order in which steps take them, whatever they come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from price_fusion.data.ids import Ids
from price_fusion.models.features import Features


class Shares(NamedTuple):
    """How processes that train together divide the batches of a stretch, each in proportion to the rows that it has."""

    rows: tuple[int, ...]
    """Of the stretch, by rank."""
    rank: int
    """Of this process."""
    done: int = 0
    """Products of the stretch, of all ranks, that were trained on before an interruption."""

    def cuts(self, batch_size: int) -> Iterator[tuple[slice, int]]:
        """Of each batch that is left, the place of this rank's rows among its own, and the products of all ranks."""
        total, begun = sum(self.rows), [0] * len(self.rows)
        for end in range(batch_size, total + batch_size, batch_size):
            ended = [rows * min(end, total) // total for rows in self.rows]
            if sum(begun) >= self.done:
                yield slice(begun[self.rank], ended[self.rank]), sum(ended) - sum(begun)
            begun = ended


class Stretch(NamedTuple):
    """Features on the device, and products of it to train on in this order."""

    features: Features
    order: Tensor
    """(M,) int64, into ``features``."""
    prices: Tensor
    """(N,) float32, of the products in ``features``."""
    ids: Ids | None = None
    """(N,) of the products in ``features``; None: their rows stand for them."""
    shares: Shares | None = None
    """How ranks divide batches; None: a single process takes them whole."""

    def batches(self, batch_size: int) -> Iterator[tuple[Tensor, int]]:
        """Rows of each batch, (B,) into ``features``, and the products that it has over all ranks."""
        if self.shares is None:
            for rows in torch.split(self.order, batch_size):
                yield rows, len(rows)
            return
        for place, products in self.shares.cuts(batch_size):
            yield self.order[place], products

    def ids_of(self, rows: Tensor) -> list[int | str]:
        """Of the products at ``rows``, (B,) into ``features``."""
        places = rows.cpu().numpy()
        ids: list[int | str] = (places if self.ids is None else self.ids[places]).tolist()
        return ids
