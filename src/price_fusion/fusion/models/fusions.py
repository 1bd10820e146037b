"""Fusions: from the tokens of one product to one vector of features. Products never see each other."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from price_fusion.parameters import AttentionFusion, ConcatFusion


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
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        joined = mixed.transpose(1, 2).reshape(batch, count, width)
        normed: Tensor = self.norm(tokens + self.output(joined))
        return normed


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


def build_fusion(parameters: ConcatFusion | AttentionFusion, sources: int, width: int) -> Concat | Attention:
    """The fusion that the parameters describe, for so many sources and tokens of such a width."""
    if isinstance(parameters, AttentionFusion):
        return Attention(sources, width, parameters)
    return Concat(sources, width)
