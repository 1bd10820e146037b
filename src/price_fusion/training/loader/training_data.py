"""What a variant is trained on, from tables and a split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from price_fusion.data.checks.frame_checks import refuse_other_products
from price_fusion.data.roles import Roles, Rows
from price_fusion.data.table import EmbeddingTable
from price_fusion.metrics.price_scale import PriceScale, unit_of_split
from price_fusion.models.device import choose_device, fits, window_bytes
from price_fusion.models.features import Features, features_from_tables
from price_fusion.parameters import Source
from price_fusion.training.loader.feed import Feed
from price_fusion.training.recipe import data_fingerprints

if TYPE_CHECKING:
    from price_fusion.training.loader.stream import PartitionFeed


@dataclass(frozen=True)
class TrainingData:
    """Features and prices, and which rows to fit and to select on; all in one place."""

    features: Features
    """On the device, or, with ``window_products``, in their files."""
    prices: Tensor
    """(N,) float32, in units of ``unit``."""
    train: Tensor
    """Rows to fit, int64."""
    validation: Tensor
    """Rows for the learning rate, early stopping and the choice of the best epoch, int64."""
    sources: Mapping[str, Source]
    """Declaration of each source, in the order of the model's tokens."""
    dtypes: Mapping[str, str]
    """Type in which each source's embeddings are stored."""
    fingerprints: dict[str, str]
    """Digests of what the data was made from, for the checkpoint."""
    ids: NDArray[Any] | None = None
    """(N,) product ids, for messages; None: rows stand for them."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where to compute."""
    window_products: int | None = None
    """How many products' features the device holds at a time; None: all."""
    unit: float = 1.0
    """Of the prices, in currency units."""
    price_range: tuple[float, float] | None = None
    """Lowest and highest price of the train rows; None: those of ``train``."""
    epoch_products: int | None = None
    """How many of the train rows an epoch takes, at random; None: all."""
    feed: PartitionFeed | None = None
    """Where train rows come from that no features hold; ``train`` is a sample of them then. None: from ``features``."""

    @property
    def products(self) -> int:
        """Train rows of an epoch, over all processes."""
        if self.feed is not None:
            return self.feed.products
        return min(self.epoch_products or len(self.train), len(self.train))

    def train_feed(self) -> Feed | PartitionFeed:
        """Where the train rows of each epoch come from."""
        if self.feed is not None:
            return self.feed
        return Feed(
            self.features,
            self.prices,
            self.train,
            self.device,
            self.window_products,
            self.epoch_products,
            self.ids,
        )

    def with_rows(self, fit: Rows, watched: Rows) -> TrainingData:
        """The same with other rows to fit and to select on."""
        train, validation = (torch.from_numpy(rows).to(self.prices.device) for rows in (fit, watched))
        return replace(self, train=train, validation=validation)

    def price_scale(self, train: Tensor) -> PriceScale:
        """Of a model that is fitted on these rows."""
        if self.price_range is not None:
            return PriceScale.between(*self.price_range, self.unit)
        return PriceScale.of(self.prices[train].double().cpu().numpy() * self.unit, self.unit)


def training_data(
    samples: pd.DataFrame,
    split_table: pd.DataFrame,
    tables: Mapping[str, EmbeddingTable],
    device: Literal["auto", "cpu", "cuda"],
    features_gb: float | None = None,
    roles: Roles | None = None,
) -> TrainingData:
    """Bring features and prices to the device, or leave them in their files where they do not fit.

    Args:
        samples: the sample table, labelled.
        split_table: of the same products.
        tables: one per source, in the order of the model's tokens.
        device: where to train.
        features_gb: what features may take there, in 1e9 bytes.
        roles: whose ``fit`` and ``watched`` rows to use; None: the train and validation rows of the split.

    Raises:
        AlignmentError: if sample table and split table list other products.
    """
    refuse_other_products(samples, split_table)
    chosen = choose_device(device)
    sources = {name: table.declaration for name, table in tables.items()}
    features = features_from_tables(samples, tables, sources)
    whole = fits(features.bytes, chosen, features_gb)
    home = chosen if whole else torch.device("cpu")
    split = split_table["split"].to_numpy()
    train, validation = (np.flatnonzero(split == name) for name in ("train", "validation"))
    if roles is not None:
        train, validation = roles.fit, roles.watched
    unit = unit_of_split(samples, split_table)
    prices = (samples["price"].to_numpy(np.float64) / unit).astype(np.float32)
    return TrainingData(
        features=features.to(chosen) if whole and chosen.type != "cpu" else features,
        prices=torch.from_numpy(prices).to(home),
        unit=unit,
        train=torch.from_numpy(train).to(home),
        validation=torch.from_numpy(validation).to(home),
        device=chosen,
        window_products=None if whole else max(1, window_bytes(chosen, features_gb) // features.bytes_per_product),
        sources=sources,
        dtypes={name: table.dtype for name, table in tables.items()},
        fingerprints=data_fingerprints(samples, split_table, tables),
        ids=samples["sample_id"].to_numpy(),
    )
