"""Scaling of plain numbers that an absurd value does not upset."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RobustScale(nn.Module):
    """Numbers by median and interquartile range of the train rows, squashed by ``sign(z) log(1 + |z|)``.

    So an absurd quantity stays a number among numbers. Shapes: (B, K) to (B, K); NaN stays NaN.

    Args:
        columns: K.
    """

    LARGEST = torch.finfo(torch.float32).max
    """What is beyond it by itself, divided by a small spread, is brought back to it: an infinite token would have no price."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(columns))
        self.register_buffer("spread", torch.ones(columns))
        self.center: Tensor
        self.spread: Tensor

    def fit(self, values: Tensor) -> None:
        """Take the statistics from train rows, (N, K); a column without any number keeps center 0 and spread 1."""
        if not values.numel():
            return
        numbers = values.double()
        low, middle, high = torch.nanquantile(
            numbers, torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64, device=numbers.device), dim=0
        )
        # A column whose middle half is constant still may vary outside it.
        known = ~numbers.isnan()
        count = known.sum(dim=0).clamp_min(1)
        mean = numbers.nansum(dim=0) / count
        deviation = (torch.where(known, numbers - mean, 0.0).square().sum(dim=0) / count).sqrt()
        spread = torch.where(high - low > 0, high - low, deviation)
        self.center.copy_(middle.nan_to_num(0.0))
        self.spread.copy_(torch.where(spread > 0, spread, torch.ones_like(spread)))

    def forward(self, values: Tensor) -> Tensor:
        """Scaled values, (B, K)."""
        scaled = ((values.float() - self.center) / self.spread).clamp(-self.LARGEST, self.LARGEST)
        return scaled.sign() * scaled.abs().log1p()
