"""Branches: from one source's stored values to a token of common width."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from price_fusion.models.layers.dropout import Dropout
from price_fusion.models.layers.scaling import RobustScale
from price_fusion.parameters import BranchParameters


class SourceBatch(NamedTuple):
    """One source's values for the products of a batch."""

    vectors: Tensor
    """(B, D) embeddings as stored, of any floating type; rows of absent products hold anything finite."""
    structural: Tensor
    """(B, K) structural columns as stored."""
    present: Tensor
    """(B,) bool: whether the source knows the product."""


class Branch(nn.Module):
    """Normalise, scale and project one source; a learned vector stands in for products that it does not know.

    Structural columns are scaled robustly and projected apart from the embedding, which they would drown inside its norm.
    Dropout on the normalised vector, in training, leaves them alone.

    Shapes: ``SourceBatch`` of (B, D), (B, K), (B,) to (B, W).

    Examples:
        >>> branch = Branch(4, 0, BranchParameters(width=8))
        >>> batch = SourceBatch(torch.ones(2, 4), torch.empty(2, 0), torch.tensor([True, False]))
        >>> branch(batch).shape
        torch.Size([2, 8])
    """

    def __init__(self, embedding_width: int, structural_columns: int, parameters: BranchParameters) -> None:
        super().__init__()
        self.normalise = parameters.normalise == "l2"
        self.scale = nn.Parameter(torch.ones(())) if parameters.learned_scale else None
        self.dropout = Dropout(parameters.input_dropout) if parameters.input_dropout else nn.Identity()
        self.projection = nn.Linear(embedding_width, parameters.width)
        self.structural = nn.Linear(structural_columns, parameters.width, bias=False) if structural_columns else None
        self.norm = nn.LayerNorm(parameters.width) if parameters.layer_norm else nn.Identity()
        self.missing = nn.Parameter(torch.zeros(parameters.width))
        self.structural_scale = RobustScale(structural_columns)

    def fit_structural(self, values: Tensor) -> None:
        """Take the scaling statistics from the structural values of train rows, (N, K)."""
        self.structural_scale.fit(values)

    def forward(self, batch: SourceBatch) -> Tensor:
        """Tokens of a batch, (B, W)."""
        token = self._project(batch.vectors)
        if self.structural is not None:
            token = token + self.structural(self.structural_scale(batch.structural))
        token = self.norm(token)
        return torch.where(batch.present[:, None], token, self.missing.to(token.dtype))

    def _project(self, vectors: Tensor) -> Tensor:
        """Normalised, scaled and projected vectors, (B, W).

        Length and scale are one factor a product, which passes through the linear map and dropout: applied behind them, to
        W columns instead of D, it spares passes over the vectors, and back-propagation their gradient.
        """
        weight, bias = self.projection.weight, self.projection.bias
        device = vectors.device.type
        if torch.is_autocast_enabled(device):  # here already: float16 could overflow where dropout scales it up
            multiplied = vectors.to(torch.get_autocast_dtype(device))
        else:
            multiplied = vectors = vectors.to(weight.dtype)
        token = F.linear(self.dropout(multiplied), weight)
        if self.normalise:
            lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True, dtype=torch.float32).clamp_min(1e-12)
            token = token / lengths.to(token.dtype)
        if self.scale is not None:
            token = token * self.scale.to(token.dtype)
        return token + bias.to(token.dtype)
