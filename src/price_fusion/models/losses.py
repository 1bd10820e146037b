"""Losses: plain functions of predicted log prices and true prices.

Each takes ``log_prediction`` (B,), which is log(1 + price), and ``price`` (B,) in currency units, and gives the mean over the
batch as a scalar. ``d`` below is |p - t| / (|p| + |t|), so that SMAPE is the mean of 200 d.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from price_fusion.parameters import LossName

Loss = Callable[[Tensor, Tensor], Tensor]

EPSILON = 1e-8
MAX_LOG_PRICE = 20.0
"""Half a billion: beyond it float32 would soon overflow."""
PRICE_TIERS = ((5.0, 10.0), (10.0, 8.0), (30.0, 6.0), (60.0, 4.0), (200.0, 2.0))
"""(in currency units, weight): a product cheaper than the first number, and than no earlier one, weighs the second."""


def weighted_smape(log_prediction: Tensor, price: Tensor) -> Tensor:
    """SMAPE in [0, 2], each product weighted by the tier of its true price: cheap ones weigh more."""
    return (tier_weights(price) * 2 * relative_difference(log_prediction, price)).mean()


def smape(log_prediction: Tensor, price: Tensor) -> Tensor:
    """SMAPE in [0, 2]."""
    return (2 * relative_difference(log_prediction, price)).mean()


def focal_smape(log_prediction: Tensor, price: Tensor, gamma: float = 2.0) -> Tensor:
    """Mean of (2 d)^gamma: large misses count more than in ``smape``."""
    return (2 * relative_difference(log_prediction, price)).pow(gamma).mean()


def hybrid_focal_smape(log_prediction: Tensor, price: Tensor) -> Tensor:
    """0.7 of ``huber`` and 0.3 of ``focal_smape``."""
    return 0.7 * huber(log_prediction, price) + 0.3 * focal_smape(log_prediction, price)


def huber(log_prediction: Tensor, price: Tensor) -> Tensor:
    """Huber loss on log prices, delta 1."""
    return F.huber_loss(log_prediction, price.log1p(), delta=1.0)


def weighted_huber(log_prediction: Tensor, price: Tensor) -> Tensor:
    """Huber loss on log prices, weighted by the square root of the price, twice above 100, with mean weight 1."""
    weights = price.sqrt() * torch.where(price > 100, 2.0, 1.0)
    each = F.huber_loss(log_prediction, price.log1p(), delta=1.0, reduction="none")
    return (weights / weights.mean() * each).mean()


def quantile_huber(log_prediction: Tensor, price: Tensor) -> Tensor:
    """Pinball losses at 0.1, 0.5 and 0.9, averaged, plus ``huber``; all on log prices."""
    error = price.log1p() - log_prediction
    pinball = torch.stack([torch.maximum(q * error, (q - 1) * error).mean() for q in (0.1, 0.5, 0.9)]).mean()
    return pinball + huber(log_prediction, price)


def adaptive_huber(log_prediction: Tensor, price: Tensor) -> Tensor:
    """Huber loss on log prices whose delta falls from 2 to 0.5 as the true price goes from 1 to 1,000 (in log)."""
    delta = 2.0 - 1.5 * (price.clamp(1.0, 1000.0).log10() / 3.0)
    error = (log_prediction - price.log1p()).abs()
    return torch.where(error <= delta, 0.5 * error.square(), delta * (error - 0.5 * delta)).mean()


def focal_huber(log_prediction: Tensor, price: Tensor, gamma: float = 2.0) -> Tensor:
    """Huber loss on log prices times (1 - exp(-|error|))^gamma: small misses count less than in ``huber``."""
    error = log_prediction - price.log1p()
    # 1 - exp(-sqrt(error^2 + eps)) keeps a finite gradient where the error is 0.
    focus = (1 - torch.exp(-(error.square() + EPSILON).sqrt())).pow(gamma)
    return (focus * F.huber_loss(log_prediction, price.log1p(), delta=1.0, reduction="none")).mean()


def mse(log_prediction: Tensor, price: Tensor) -> Tensor:
    """Mean squared error of log prices."""
    return F.mse_loss(log_prediction, price.log1p())


def mae(log_prediction: Tensor, price: Tensor) -> Tensor:
    """Mean absolute error of prices, in currency units."""
    return (predicted_price(log_prediction) - price).abs().mean()


def log_mae(log_prediction: Tensor, price: Tensor) -> Tensor:
    """Mean absolute error of log prices. SMAPE is 200 tanh(|log p - log t| / 2): for small misses they agree."""
    return F.l1_loss(log_prediction, price.log1p())


LOSSES: dict[LossName, Loss] = {
    "weighted_smape": weighted_smape,
    "smape": smape,
    "focal_smape": focal_smape,
    "hybrid_focal_smape": hybrid_focal_smape,
    "huber": huber,
    "weighted_huber": weighted_huber,
    "quantile_huber": quantile_huber,
    "adaptive_huber": adaptive_huber,
    "focal_huber": focal_huber,
    "mse": mse,
    "mae": mae,
    "log_mae": log_mae,
}


def predicted_price(log_prediction: Tensor) -> Tensor:
    """Prices in currency units, from 0 to e^20.

    Where a price is cut to 0 its gradient is that of the uncut one: an exact 0 would leave such a prediction there.
    """
    price = log_prediction.clamp_max(MAX_LOG_PRICE).expm1()
    return price + (price.clamp_min(0.0) - price).detach()


def relative_difference(log_prediction: Tensor, price: Tensor) -> Tensor:
    """``d`` of each product, in [0, 1]."""
    prediction = predicted_price(log_prediction)
    return (prediction - price).abs() / (prediction + price + EPSILON)


def tier_weights(price: Tensor) -> Tensor:
    """Weight of each product by the tier of its true price, 10 below 5 down to 1 from 200."""
    weights = torch.ones_like(price)
    for edge, weight in reversed(PRICE_TIERS):
        weights = torch.where(price < edge, weight, weights)
    return weights
