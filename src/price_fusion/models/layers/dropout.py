"""Dropout that does not wait for its random numbers on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Dropout(nn.Module):
    """Zero values at random in training and scale the others up, as in Srivastava et al. 2014, any shape to the same.

    On the CPU torch draws one number a value from a sequential generator, which cost a seventh of a training step of
    ``moe``. Here one draw of 64 bits serves eight values; the probability is rounded to a multiple of 1/256 for it.

    Args:
        probability: of zeroing a value, in [0, 1).
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability
        self.zeroed_bytes = min(round(probability * 256), 255)

    def forward(self, values: Tensor) -> Tensor:
        """The values with some zeroed, or as they are outside training."""
        if not self.training or not self.zeroed_bytes:
            return values
        if values.device.type != "cpu":
            return F.dropout(values, self.probability)
        draws = torch.empty((values.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        kept = draws.view(torch.uint8)[: values.numel()].view(values.shape) >= self.zeroed_bytes
        return values * kept.to(values.dtype).mul_(256 / (256 - self.zeroed_bytes))

    def extra_repr(self) -> str:
        """What ``print(model)`` shows."""
        return f"probability={self.probability}"
