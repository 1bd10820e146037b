"""Losses against plain Python, at the edges of their tiers, and where prices are hardest to differentiate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.models.losses import LOSSES, predicted_price, relative_difference, tier_weights
from price_fusion.parameters import LossName

Batch = Sequence[tuple[float, float]]

PRICES = st.floats(0.01, 1e4)
BATCHES = st.lists(st.tuples(st.floats(-2.0, 11.0), PRICES), min_size=1, max_size=12)
"""Predicted log prices with true prices."""


# --- the definitions once more, product by product -------------------------------------------------------------------


def d(log_p: float, t: float) -> float:
    p = max(math.exp(log_p) - 1, 0.0)
    return abs(p - t) / (abs(p) + abs(t) + 1e-8)


def miss(log_p: float, t: float) -> float:
    return log_p - math.log(1 + t)


def huber_of(error: float, delta: float = 1.0) -> float:
    return error**2 / 2 if abs(error) <= delta else delta * (abs(error) - delta / 2)


def tier(t: float) -> int:
    return 10 if t < 5 else 8 if t < 10 else 6 if t < 30 else 4 if t < 60 else 2 if t < 200 else 1


def pinball_of(log_p: float, t: float) -> float:
    under = -miss(log_p, t)
    return fmean(q * under if under > 0 else (1 - q) * -under for q in (0.1, 0.5, 0.9))


def price_weight(t: float) -> float:
    return math.sqrt(t) * (2 if t > 100 else 1)


def falling_delta(t: float) -> float:
    """2 up to 1 USD, 0.5 from 1,000 USD, a straight line in log price between."""
    return 2 - 1.5 * math.log(min(max(t, 1), 1000)) / math.log(1000)


def weighted_huber(batch: Batch) -> float:
    return sum(price_weight(t) * huber_of(miss(p, t)) for p, t in batch) / sum(price_weight(t) for _, t in batch)


def mean_of(each: Callable[[float, float], float]) -> Callable[[Batch], float]:
    return lambda batch: fmean(each(p, t) for p, t in batch)


PLAIN: dict[str, Callable[[Batch], float]] = {
    "weighted_smape": mean_of(lambda p, t: tier(t) * 2 * d(p, t)),
    "smape": mean_of(lambda p, t: 2 * d(p, t)),
    "focal_smape": mean_of(lambda p, t: (2 * d(p, t)) ** 2),
    "hybrid_focal_smape": mean_of(lambda p, t: 0.7 * huber_of(miss(p, t)) + 0.3 * (2 * d(p, t)) ** 2),
    "huber": mean_of(lambda p, t: huber_of(miss(p, t))),
    "weighted_huber": weighted_huber,
    "quantile_huber": mean_of(lambda p, t: pinball_of(p, t) + huber_of(miss(p, t))),
    "adaptive_huber": mean_of(lambda p, t: huber_of(miss(p, t), falling_delta(t))),
    "focal_huber": mean_of(lambda p, t: (1 - math.exp(-abs(miss(p, t)))) ** 2 * huber_of(miss(p, t))),
    "mse": mean_of(lambda p, t: miss(p, t) ** 2),
    "mae": mean_of(lambda p, t: abs(max(math.exp(p) - 1, 0) - t)),
    "log_mae": mean_of(lambda p, t: abs(miss(p, t))),
}


def tensors(batch: Batch, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    log_prediction, price = zip(*batch, strict=True)
    return torch.tensor(log_prediction, dtype=dtype), torch.tensor(price, dtype=dtype)


def test_every_named_loss_is_there() -> None:
    assert list(LOSSES) == list(get_args(LossName))
    assert set(PLAIN) == set(LOSSES)


@pytest.mark.parametrize("name", PLAIN)
@given(batch=BATCHES)
def test_equals_the_definition(name: LossName, batch: Batch) -> None:
    assert LOSSES[name](*tensors(batch)).item() == pytest.approx(PLAIN[name](batch), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("name", PLAIN)
def test_equals_the_definition_in_float32(name: LossName) -> None:
    batch = [(2.7, 14.0), (0.4, 0.13), (8.1, 2796.0), (4.6, 250.0), (1.0, 100.0), (3.0, 7.5)]
    loss = LOSSES[name](*tensors(batch, torch.float32))
    assert (loss.dtype, loss.shape) == (torch.float32, ())
    assert loss.item() == pytest.approx(PLAIN[name](batch), rel=1e-4)


@pytest.mark.parametrize(
    ("price", "weight"),
    [
        (0.01, 10),
        (4.99, 10),
        (5.0, 8),
        (9.99, 8),
        (10.0, 6),
        (29.99, 6),
        (30.0, 4),
        (59.99, 4),
        (60.0, 2),
        (199.99, 2),
        (200.0, 1),
        (1e4, 1),
    ],
)
def test_tiers_weigh_what_they_say(price: float, weight: int) -> None:
    assert tier_weights(torch.tensor([price])).tolist() == [weight]
    assert tier_weights(torch.tensor([price], dtype=torch.float64)).tolist() == [weight]
    prediction, true = torch.tensor([1.0]), torch.tensor([price])
    weighted, plain = LOSSES["weighted_smape"](prediction, true), LOSSES["smape"](prediction, true)
    torch.testing.assert_close(weighted, weight * plain)


@given(PRICES, PRICES)
def test_smape_is_200_tanh_of_half_the_log_difference(predicted: float, true: float) -> None:
    loss = LOSSES["smape"](*tensors([(math.log1p(predicted), true)]))
    assert 100 * loss.item() == pytest.approx(200 * math.tanh(abs(math.log(predicted) - math.log(true)) / 2), abs=2e-4)


@pytest.mark.parametrize("name", sorted(set(PLAIN) - {"mae"}))
def test_gradients_are_those_of_the_function(name: LossName) -> None:
    generator = torch.Generator().manual_seed(3)
    price = torch.rand(8, generator=generator, dtype=torch.float64) * 300 + 1
    # Away from the kinks of |error| at 0 and of Huber at its delta.
    error = torch.tensor([-2.6, -1.6, -0.7, -0.3, 0.3, 0.7, 1.6, 2.6], dtype=torch.float64)
    prediction = (price.log1p() + error).clamp_min(0.1).requires_grad_()  # below 0 prices are cut, gradients are not
    assert torch.autograd.gradcheck(lambda log_prediction: LOSSES[name](log_prediction, price), (prediction,))


def test_gradient_of_mae_is_that_of_the_function() -> None:
    price = torch.tensor([3.0, 20.0], dtype=torch.float64)
    prediction = torch.tensor([1.0, 3.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda log_prediction: LOSSES["mae"](log_prediction, price), (prediction,))


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_value_and_gradient_are_finite_wherever_a_price_can_be(name: LossName, dtype: torch.dtype) -> None:
    true = torch.tensor([0.01, 0.13, 1.0, 5.0, 14.0, 100.0, 1e4], dtype=dtype)
    predictions = [true.log1p(), *(torch.full_like(true, value) for value in (0.0, -0.5, -50.0, math.log1p(1e4), 20.0))]
    for prediction in predictions:
        prediction.requires_grad_()
        loss = LOSSES[name](prediction, true)
        (gradient,) = torch.autograd.grad(loss, prediction)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("price", [0.13, 14.0, 2796.0])
def test_gradients_pull_towards_the_true_price(name: LossName, price: float) -> None:
    true = torch.tensor([price, price])
    prediction = (true.log1p() * torch.tensor([0.9, 1.1])).requires_grad_()
    (gradient,) = torch.autograd.grad(LOSSES[name](prediction, true), prediction)
    assert gradient[0] < 0 < gradient[1]


@pytest.mark.parametrize("name", PLAIN)
def test_the_true_price_loses_nothing(name: LossName) -> None:
    true = torch.tensor([0.5, 14.0, 300.0], dtype=torch.float64)
    assert LOSSES[name](true.log1p(), true).item() == pytest.approx(0, abs=1e-12)


def test_weighted_huber_of_equal_prices_is_huber() -> None:
    prediction, true = torch.tensor([1.0, 2.0, 9.0]), torch.full((3,), 150.0)
    torch.testing.assert_close(LOSSES["weighted_huber"](prediction, true), LOSSES["huber"](prediction, true))


def test_weighted_huber_receives_the_prices() -> None:
    true = torch.tensor([4.0, 400.0])
    expensive_missed = LOSSES["weighted_huber"](true.log1p() + torch.tensor([0.0, 0.5]), true)
    cheap_missed = LOSSES["weighted_huber"](true.log1p() + torch.tensor([0.5, 0.0]), true)
    # sqrt(400 / 4) = 10, twice above 100 USD.
    torch.testing.assert_close(expensive_missed / cheap_missed, torch.tensor(20.0), rtol=1e-4, atol=0)


def test_focal_smape_with_gamma_one_is_smape_and_with_three_is_cubic() -> None:
    prediction, true = torch.tensor([2.0]), torch.tensor([14.0])
    smape, focal = LOSSES["smape"](prediction, true), LOSSES["focal_smape"]
    torch.testing.assert_close(focal(prediction, true, gamma=1.0), smape)  # type: ignore[call-arg]
    torch.testing.assert_close(focal(prediction, true, gamma=3.0), smape**3)  # type: ignore[call-arg]


def test_predicted_prices_are_not_negative() -> None:
    assert predicted_price(torch.tensor([-3.0, 0.0, math.log(15.0)])).tolist() == pytest.approx([0.0, 0.0, 14.0])


def test_relative_difference_reaches_one_where_nothing_is_predicted() -> None:
    assert relative_difference(torch.tensor([-1.0]), torch.tensor([14.0])).item() == pytest.approx(1)
