"""Fusions: from the tokens of one product to one vector of features. Products never see each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from price_fusion.parameters import AttentionFusion, FusionParameters, HierarchicalFusion

FEW_TOKENS = 2
"""Up to so many tokens, plain products and sums beat batched matrix products on the CPU."""


class Concat(nn.Module):
    """Tokens side by side: (B, S, W) to (B, S * W)."""

    def __init__(self, sources: int, width: int) -> None:
        super().__init__()
        self.features = sources * width

    def forward(self, tokens: Tensor) -> Tensor:
        """Fused features, (B, F)."""
        return tokens.flatten(1)


class TokenAttention(nn.Module):
    """Multi-head self-attention between the tokens of each product, added to them and normalised.

    Scaled dot-product attention as in Vaswani et al. 2017, "Attention Is All You Need". Shapes: (B, S, W) to (B, S, W).
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens that know of each other, (B, S, W)."""
        batch, count, width = tokens.shape
        # (B, S, 3 W) -> 3 of (B, heads, S, W / heads)
        split = self.query_key_value(tokens).view(batch, count, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        mixed = attend(query, key, value, dropout)
        joined = mixed.transpose(1, 2).reshape(batch, count, width)
        normed: Tensor = self.norm(tokens + self.output(joined))
        return normed


def attend(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
    """Scaled dot-product attention of (B, heads, S, d) each, to the same shape.

    Between two tokens the CPU's batched products, one tiny matrix a head and product, take longer than multiplying and
    summing everything at once.
    """
    if query.device.type != "cpu" or query.shape[2] > FEW_TOKENS:
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
    scores = (query.unsqueeze(3) * key.unsqueeze(2)).sum(dim=4) / math.sqrt(query.shape[3])
    weights = F.dropout(torch.softmax(scores, dim=3), dropout)
    return (weights.unsqueeze(4) * value.unsqueeze(2)).sum(dim=3)


class Attention(nn.Module):
    """Attention between a product's tokens, then side by side: (B, S, W) to (B, S * W)."""

    def __init__(self, sources: int, width: int, parameters: AttentionFusion) -> None:
        super().__init__()
        self.attention = TokenAttention(width, parameters.heads, parameters.dropout)
        self.features = sources * width

    def forward(self, tokens: Tensor) -> Tensor:
        """Fused features, (B, F)."""
        fused: Tensor = self.attention(tokens)
        return fused.flatten(1)


class Hierarchical(nn.Module):
    """Attention within each group of sources, then between the tokens of all: (B, S, W) to (B, S * W).

    The token of a source that is alone in its group goes to the second level as it is: attention to one key would not
    depend on it. Each level adds to its tokens before it normalises them, so that what an earlier level found goes on
    to the head, and the head sees each source's token apart. Why so: docs/decisions/0002-hierarchical-fusion.md.

    Args:
        groups: name of each source's group, (S,); the sources of a group need not be neighbours. The features hold the
            tokens group by group.
        width: of a token.
        parameters: heads and dropout of every attention.

    Examples:
        >>> fusion = Hierarchical(["image", "text", "image"], 16, HierarchicalFusion(heads=4))
        >>> fusion(torch.ones(2, 3, 16)).shape
        torch.Size([2, 48])
    """

    def __init__(self, groups: Sequence[str], width: int, parameters: HierarchicalFusion) -> None:
        super().__init__()
        names = list(dict.fromkeys(groups))
        self.members = [[place for place, group in enumerate(groups) if group == name] for name in names]
        self.within = nn.ModuleList(
            TokenAttention(width, parameters.heads, parameters.dropout) if len(places) > 1 else nn.Identity()
            for places in self.members
        )
        self.across = TokenAttention(width, parameters.heads, parameters.dropout)
        self.features = len(groups) * width

    def forward(self, tokens: Tensor) -> Tensor:
        """Fused features, (B, F)."""
        # Taken apart and stacked rather than indexed by a list, which would be copied to the device each time.
        each = tokens.unbind(dim=1)
        grouped = [
            attention(torch.stack([each[place] for place in places], dim=1))
            for attention, places in zip(self.within, self.members, strict=True)
        ]
        fused: Tensor = self.across(torch.cat(grouped, dim=1))
        return fused.flatten(1)


def build_fusion(parameters: FusionParameters, groups: Sequence[str], width: int) -> Concat | Attention | Hierarchical:
    """The fusion that the parameters describe.

    Args:
        parameters: kind and options.
        groups: name of each source's group, in the order of the tokens.
        width: of a token.
    """
    if isinstance(parameters, HierarchicalFusion):
        return Hierarchical(groups, width, parameters)
    if isinstance(parameters, AttentionFusion):
        return Attention(len(groups), width, parameters)
    return Concat(len(groups), width)
