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

BLOCK_PRODUCTS = 1_024
"""Products scored at a time: more were no faster on two cores, and the last block is filled up to it."""


@torch.inference_mode()
def score(
    model: PriceModel, features: Features, index: Tensor, *, bf16: bool = False, whole_blocks: bool = False
) -> Tensor:
    """Predicted log prices of the products at ``index``, (N,) float32 on the model's device.

    The model is put into evaluation mode for it, and left there.

    Args:
        model: that scores.
        features: of all products.
        index: (N,) int64, those that are asked for.
        bf16: whether matrix products are in bf16.
        whole_blocks: fill up the last block with copies of the first product. Kernels for matrices of other shapes round
            otherwise; among as many others, a product gets the same bits in any order, company and number of threads. (Not where
            a layer of up to 8 outputs reads inputs that are no multiple of 4: too small for blocks.)
    """
    model.eval()
    device = next(model.parameters()).device
    products, short = len(index), -len(index) % BLOCK_PRODUCTS
    if whole_blocks and short:
        index = torch.cat([index, index[:1].expand(short)])
    with autocast(device, bf16):
        parts = torch.split(index, BLOCK_PRODUCTS)
        blocks = [model(features.batch(part, device)) for part in tracked(parts, "predicting", "blocks of products")]
    return torch.cat(blocks)[:products] if blocks else torch.empty(0, device=device)


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
    """Prices in currency units from log prices, from 0 to the highest of the scale."""
    prices: NDArray[np.float64] = (log_prices.double().expm1() * scale.unit).clamp(0.0, scale.highest).cpu().numpy()
    return prices
