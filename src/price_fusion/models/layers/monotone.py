"""Prices that do not fall where the amount of a product rises, by construction.

The network sees the quantity columns relative to the amount, which more of the same leaves as they are. The amount itself adds
to the log price by how far it is through each of its quantile bins, times a factor that the network chooses for each product
and that is never negative.

Shapes: ``B`` products, ``K`` numbers and ``C`` codes of the source that has amounts, ``F`` fused features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from price_fusion.data.quantity.amounts import AMOUNT, AMOUNT_KIND, GROWING
from price_fusion.models.layers.branches import SourceBatch
from price_fusion.models.layers.columns import PiecewiseLinear
from price_fusion.models.layers.dropout import Dropout
from price_fusion.parameters import ColumnSourceParameters

HIDDEN = 256
"""Width between the fused features and the factors."""
ELASTICITY = 0.2
"""Factor of each bin before training: half a percent more price for a percent more amount, about."""
GRAIN = 1024
"""Relative quantities are rounded to so many parts of 1 in log: without it, bins would hold rounding errors."""


class MonotoneAmount(nn.Module):
    """What the amount adds to the log price: (B, F) features and the source's batch to (B,).

    Args:
        source: that has amounts.
        features: F.
        dropout: on the hidden layer.
    """

    def __init__(self, source: ColumnSourceParameters, features: int, dropout: float) -> None:
        super().__init__()
        self.numbers = len(source.numeric)
        self.amount = source.numeric.index(AMOUNT)
        self.kind = self.numbers + source.categorical.index(AMOUNT_KIND)
        self.pack, self.pieces = source.numeric.index("pack"), source.numeric.index("pieces")
        kinds = source.vocabulary[AMOUNT_KIND]
        self.count = 1 + kinds.index("count") if "count" in kinds else -1
        self.kinds = len(kinds)
        grows = [[False] * self.numbers, *([name in GROWING[kind] for name in source.numeric] for kind in kinds)]
        self.register_buffer("grows", torch.tensor(grows))
        self.grows: Tensor
        self.steps = PiecewiseLinear(self.kinds, source.bins)
        last = nn.Linear(HIDDEN, self.steps.features)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, math.log(math.expm1(ELASTICITY)))
        self.factors = nn.Sequential(nn.Linear(features, HIDDEN), nn.GELU(), Dropout(dropout), last)

    def fit_structural(self, values: Tensor) -> None:
        """Take the bins of each kind from train rows, (N, K + C)."""
        self.steps.fit(self._by_kind(values))

    def relative(self, structural: Tensor) -> Tensor:
        """The source's columns, (B, K + C), without the amount: those that grow with it are relative to it."""
        numbers, kind = structural[:, : self.numbers].float(), structural[:, self.kind].long()
        amount = numbers[:, self.amount, None]
        packs = (kind == self.count) & (numbers[:, self.pack] == numbers[:, self.pieces])
        is_pack = torch.arange(self.numbers, device=numbers.device) == self.pack
        grows = self.grows[kind] | (packs[:, None] & is_pack)
        shares = ((numbers - amount) * GRAIN).round() / GRAIN
        return torch.cat([torch.where(grows, shares, numbers), structural[:, self.numbers :].float()], dim=1)

    def forward(self, features: Tensor, batch: SourceBatch) -> Tensor:
        """What the amount adds to log prices, (B,) float32; 0 where it is unknown."""
        amounts = self._by_kind(batch.structural)
        known = ~amounts.isnan() & batch.present[:, None]
        done = (self.steps(amounts).unflatten(1, (self.kinds, -1)) - 0.5) * known.unsqueeze(2)
        factors: Tensor = F.softplus(self.factors(features).float())
        added: Tensor = (factors * done.flatten(1)).sum(dim=1)
        return added

    def _by_kind(self, structural: Tensor) -> Tensor:
        """The amounts in a column of each kind, (B, kinds); NaN in the others."""
        kind = structural[:, self.kind, None].long() - 1
        amount = structural[:, self.amount, None].float()
        return torch.where(kind == torch.arange(self.kinds, device=kind.device), amount, math.nan)
