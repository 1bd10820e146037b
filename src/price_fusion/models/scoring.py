"""Log prices of many products, block by block."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from price_fusion.compute.progress import tracked
from price_fusion.metrics.price_scale import PriceScale
from price_fusion.models.build import PriceModel
from price_fusion.models.device import autocast
from price_fusion.models.features import Features
from price_fusion.models.layers.heads import Mixture

BLOCK_PRODUCTS = 2_048
"""Products scored at a time."""


@torch.inference_mode()
def score(model: PriceModel, features: Features, index: Tensor, *, bf16: bool = False) -> Tensor:
    """Predicted log prices of the products at ``index``, (N,) float32 on the model's device.

    The model is put into evaluation mode for it, and left there.
    """
    model.eval()
    device = next(model.parameters()).device
    with autocast(device, bf16):
        parts = torch.split(index, BLOCK_PRODUCTS)
        blocks = [model(features.batch(part, device)) for part in tracked(parts, "predicting", "blocks of products")]
    return torch.cat(blocks) if blocks else torch.empty(0, device=device)


@torch.inference_mode()
def gate_weights(model: PriceModel, features: Features, index: Tensor) -> Tensor:
    """Weight of each expert for the products at ``index``, (N, experts) float32; (N, 0) of a model without a gate.

    The model is put into evaluation mode for it, and left there.
    """
    model.eval()
    if not isinstance(model.head, Mixture):
        return torch.empty(len(index), 0, device=features.device)
    blocks = torch.split(index, BLOCK_PRODUCTS)
    return torch.cat([model.head.gate_weights(model.features(features.batch(block))) for block in blocks])


def to_prices(log_prices: Tensor, scale: PriceScale) -> NDArray[np.float64]:
    """Prices in USD from log prices, from 0 to the highest of the scale."""
    prices: NDArray[np.float64] = (log_prices.double().expm1() * scale.unit).clamp(0.0, scale.highest).cpu().numpy()
    return prices
