"""From parameters to a model."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from price_fusion.models.layers.branches import Branch, SourceBatch
from price_fusion.models.layers.columns import ColumnBranch
from price_fusion.models.layers.fusions import build_fusion
from price_fusion.models.layers.heads import build_head
from price_fusion.models.layers.monotone import MonotoneAmount
from price_fusion.models.unit_prices import amount_source
from price_fusion.parameters import BranchParameters, ColumnSourceParameters, ModelParameters, Source


class PriceModel(nn.Module):
    """Branches, a fusion and a head. Predicts log(1 + price in currency units) of each product by itself.

    Fresh weights are drawn from torch's global generator. Shapes: one ``SourceBatch`` per source to (B,).

    Args:
        sources: what it fuses, in the order of its tokens.
        parameters: its composition.
    """

    def __init__(self, sources: Mapping[str, Source], parameters: ModelParameters) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(
            {name: build_branch(source, parameters.branch) for name, source in sources.items()}
        )
        groups = [source.group for source in sources.values()]
        self.fusion = build_fusion(parameters.fusion, groups, parameters.branch.width)
        self.head = build_head(parameters.head, self.fusion.features)
        self.amount_source = amount_source(sources) if parameters.monotone_in_amount else None
        self.amount: MonotoneAmount | None = None
        if self.amount_source is not None:
            source = sources[self.amount_source]
            assert isinstance(source, ColumnSourceParameters)  # noqa: S101 - for the type checker: it has amounts
            self.amount = MonotoneAmount(source, self.fusion.features, parameters.head.dropout)

    def fit_structural(self, values: Mapping[str, Tensor]) -> None:
        """Take the scaling statistics of structural columns from train rows, (N, K) for each source."""
        if self.amount is not None and self.amount_source is not None:
            amounts = values[self.amount_source]
            self.amount.fit_structural(amounts)
            values = {**values, self.amount_source: self.amount.relative(amounts)}
        for name, branch in self.branches.items():
            assert isinstance(branch, Branch | ColumnBranch)  # noqa: S101 - for the type checker: ModuleDict forgets what it holds
            branch.fit_structural(values[name])

    def features(self, batch: Mapping[str, SourceBatch]) -> Tensor:
        """Fused features, (B, F)."""
        if self.amount is not None and self.amount_source is not None:
            own = batch[self.amount_source]
            batch = {**batch, self.amount_source: own._replace(structural=self.amount.relative(own.structural))}
        tokens = torch.stack([branch(batch[name]) for name, branch in self.branches.items()], dim=1)
        fused: Tensor = self.fusion(tokens)
        return fused

    def forward(self, batch: Mapping[str, SourceBatch]) -> Tensor:
        """Log prices, (B,) float32."""
        features = self.features(batch)
        log_prices: Tensor = self.head(features).float()
        if self.amount is not None and self.amount_source is not None:
            log_prices = log_prices + self.amount(features, batch[self.amount_source])
        return log_prices


def build_branch(source: Source, parameters: BranchParameters) -> Branch | ColumnBranch:
    """The branch of a source."""
    if isinstance(source, ColumnSourceParameters):
        return ColumnBranch(source, parameters)
    return Branch(source.embedding_width, source.structural_columns, parameters)
