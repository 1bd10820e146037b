"""The batches of an epoch, from features that are on the device, or from windows of those that do not fit it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from price_fusion.data.ids import Ids
from price_fusion.models.features import Features, SourceFeatures
from price_fusion.training.loader.train_feed import Stretch

BLOCK_PRODUCTS = 1_024
"""Products that are read together: neighbours on disk, unless the device holds fewer."""


class Feed:
    """Train products in random order, a stretch at a time.

    Where the features are on the device, an epoch is one stretch, and its order is a permutation of all train rows.
    Where they are not, products are taken in blocks of neighbours; the blocks are shuffled, as many as memory allows are
    brought to the device, and the products of this window are shuffled. Two windows' worth is never held.

    Args:
        features: where they are kept.
        prices: (N,) of all products, where the features are.
        train: (T,) rows to train on, where the features are.
        device: where the model is.
        window_products: how many products' values the device holds at a time; None: the features are on the device.
        epoch_products: how many of the train rows an epoch takes, at random; None: all.
        ids: (N,) of all products, for messages; None: rows stand for them.

    Attributes:
        rows: that epochs take products from, over all ranks.
        products: of an epoch, over all ranks.
    """

    def __init__(
        self,
        features: Features,
        prices: Tensor,
        train: Tensor,
        device: torch.device,
        window_products: int | None,
        epoch_products: int | None = None,
        ids: Ids | None = None,
    ) -> None:
        self.features = features
        self.prices = prices
        self.train = train
        self.device = device
        self.ids = ids
        self.rows = len(train)
        self.products = min(epoch_products or len(train), len(train))
        self.window = window_products

    @property
    def window(self) -> int | None:
        """Products that are in memory at a time, at most; None: all.

        It decides their order, so a continuation sets it to what it was.
        """
        return self._window

    @window.setter
    def window(self, products: int | None) -> None:
        self._window = products
        self._blocks: tuple[Tensor, ...] = ()
        if products is not None:
            by_place = self.train[torch.argsort(_place(self.features, self.train), stable=True)]
            self._blocks = torch.split(by_place, max(1, min(BLOCK_PRODUCTS, products)))
            self._blocks_per_window = max(1, products // len(self._blocks[0]))

    def steps(self, batch_size: int) -> int:
        """Batches of an epoch; with windows one more or less, as the last block may be short."""
        if self.window is None:
            return -(-self.products // batch_size)
        full = len(self._blocks[0]) * self._blocks_per_window
        windows, rest = divmod(self.products, full)
        return windows * -(-full // batch_size) + -(-rest // batch_size)

    def epoch(self, shuffler: torch.Generator, done: int = 0) -> Iterator[Stretch]:
        """The stretches of one epoch.

        Args:
            shuffler: a generator on the CPU.
            done: products of this epoch that were trained on before an interruption; they are left out, the others come
                in the order in which they would have come.
        """
        if self.window is None:
            permuted = torch.randperm(len(self.train), generator=shuffler)[: self.products]
            order = self.train[permuted.to(self.device)][done:]
            if len(order):
                yield Stretch(self.features, order, self.prices, self.ids)
            return
        blocks, left = torch.randperm(len(self._blocks), generator=shuffler).tolist(), self.products
        for start in range(0, len(blocks), self._blocks_per_window):
            chosen = torch.cat([self._blocks[block] for block in blocks[start : start + self._blocks_per_window]])
            order = torch.randperm(len(chosen), generator=shuffler)[:left]
            left -= len(order)
            order, done = order[done:], max(0, done - len(order))
            if len(order):
                features, prices = window(self.features, chosen, self.device), self.prices[chosen].to(self.device)
                places = chosen.numpy()
                ids = places if self.ids is None else self.ids[places]
                yield Stretch(features, order.to(self.device), prices, ids)


def window(features: Features, index: Tensor, device: torch.device) -> Features:
    """Features of the products at ``index`` alone, (N,), copied to a device."""
    batch = features.batch(index, device)
    own_rows = torch.arange(len(index), device=device)
    return Features(
        {
            name: SourceFeatures(source.vectors, source.structural, torch.where(source.present, own_rows, -1))
            for name, source in batch.items()
        }
    )


def _place(features: Features, index: Tensor) -> Tensor:
    """Where products are in the widest source's matrix: neighbours there are read together."""
    widest = max(features.sources.values(), key=lambda source: source.vectors.shape[1])
    return widest.rows[index]
