"""Heads: from fused features to log prices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from price_fusion.models.layers.dropout import Dropout
from price_fusion.parameters import MixtureHead, MlpHead


class Mlp(nn.Module):
    """Linear, LayerNorm, GELU and dropout for each hidden width, then one output: (B, F) to (B,)."""

    def __init__(self, features: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(features, width), nn.LayerNorm(width), nn.GELU(), Dropout(dropout)]
            features = width
        self.hidden = nn.Sequential(*layers)
        self.output = nn.Linear(features, 1)

    def start_at(self, value: float) -> None:
        """Let predictions start around a value."""
        nn.init.constant_(self.output.bias, value)

    def forward(self, features: Tensor) -> Tensor:
        """Log prices, (B,)."""
        output: Tensor = self.output(self.hidden(features))
        return output.squeeze(1)


class ResidualMlp(Mlp):
    """An ``Mlp`` plus a linear map of its inputs: (B, F) to (B,)."""

    def __init__(self, features: int, hidden: Sequence[int], dropout: float) -> None:
        super().__init__(features, hidden, dropout)
        self.residual = nn.Linear(features, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Log prices, (B,)."""
        residual: Tensor = self.residual(features)
        return super().forward(features) + residual.squeeze(1)


class Mixture(nn.Module):
    """Experts, weighted by a softmax gate that sees the same features: (B, F) to (B,)."""

    def __init__(self, features: int, parameters: MixtureHead) -> None:
        super().__init__()
        self.experts = nn.ModuleList(
            Mlp(features, parameters.hidden, parameters.dropout) for _ in range(parameters.experts)
        )
        hidden = parameters.gate_hidden
        layers: list[nn.Module] = [nn.Linear(features, hidden), nn.GELU()] if hidden else []
        self.gate = nn.Sequential(*layers, nn.Linear(hidden or features, parameters.experts))

    def start_at(self, value: float) -> None:
        """Let each expert's predictions start around a value."""
        for expert in self.experts:
            assert isinstance(expert, Mlp)  # noqa: S101 - for the type checker: ModuleList forgets what it holds
            expert.start_at(value)

    def gate_weights(self, features: Tensor) -> Tensor:
        """Weight of each expert, (B, experts), each row summing to 1."""
        return torch.softmax(self.gate(features).float(), dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """Log prices, (B,)."""
        opinions = torch.stack([expert(features) for expert in self.experts], dim=1)
        return (self.gate_weights(features) * opinions).sum(dim=1)


def build_head(parameters: MlpHead | MixtureHead, features: int) -> Mlp | Mixture:
    """The head that the parameters describe, for features of such a width."""
    if isinstance(parameters, MixtureHead):
        return Mixture(features, parameters)
    kind = ResidualMlp if parameters.residual else Mlp
    return kind(features, parameters.hidden, parameters.dropout)
