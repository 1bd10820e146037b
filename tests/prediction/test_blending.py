"""Blending: weights on the simplex, never worse than what they are chosen from, and honest across folds."""

from __future__ import annotations

from functools import partial
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from price_fusion.errors import DataError
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.prediction import blending
from price_fusion.prediction.blending import (
    LOWEST_WEIGHT,
    Method,
    blend,
    cross_fitted_blend,
    fit_weights,
)

METHODS = get_args(Method)
Values = NDArray[np.float64]


def simulated(rows: int, members: int, seed: int) -> tuple[Values, Values]:
    """Members that err differently, and by more the later they come; true prices."""
    generator = np.random.default_rng(seed)
    log_true = generator.normal(3.0, 0.8, rows).clip(0.5)
    errors = generator.normal(size=(rows, members)) * (0.3 + 0.1 * np.arange(members))
    return log_true[:, None] + errors + generator.normal(0, 0.2, (rows, 1)), np.expm1(log_true)


searched = partial(fit_weights, prior_rows=0)
"""Weights as found."""


def smape(log_prices: Values, true: Values) -> float:
    return float(smape_per_product(np.expm1(log_prices), true).mean())


def test_blends_in_log_space() -> None:
    assert blend([[0.0, 4.0], [1.0, 1.0]], [0.25, 0.75]).tolist() == [3.0, 1.0]


@pytest.mark.parametrize("method", METHODS)
@given(rows=st.integers(1, 60), members=st.integers(1, 6), seed=st.integers(0, 1_000))
def test_weights_are_on_the_simplex_and_never_worse_than_the_best_member(
    method: Method, rows: int, members: int, seed: int
) -> None:
    log_prices, true = simulated(rows, members, seed)
    weights = searched(log_prices, true, method)
    assert weights.shape == (members,)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0)
    assert (weights[weights > 0] >= LOWEST_WEIGHT - 1e-12).all()
    fitted = smape(blend(log_prices, weights), true)
    assert fitted <= min(smape(member, true) for member in log_prices.T) + 1e-8
    np.testing.assert_array_equal(weights, searched(log_prices, true, method))


@given(rows=st.integers(1, 60), members=st.integers(2, 6), seed=st.integers(0, 1_000))
def test_convex_is_never_worse_than_uniform_weights(rows: int, members: int, seed: int) -> None:
    log_prices, true = simulated(rows, members, seed)
    fitted = smape(blend(log_prices, searched(log_prices, true, "convex")), true)
    assert fitted <= smape(log_prices.mean(axis=1), true) + 1e-8


@pytest.mark.parametrize("seed", range(3))
def test_both_methods_find_about_the_same(seed: int) -> None:
    log_prices, true = simulated(1_000, 8, seed)
    greedy, convex = (smape(blend(log_prices, searched(log_prices, true, method)), true) for method in METHODS)
    assert convex == pytest.approx(greedy, abs=0.2)
    assert convex < smape(log_prices.mean(axis=1), true) - 0.5


@pytest.mark.parametrize("method", METHODS)
def test_opposite_biases_get_equal_weights(method: Method) -> None:
    log_true = np.linspace(2, 5, 200)
    log_prices = np.column_stack([log_true + 0.4, log_true - 0.4])
    np.testing.assert_allclose(searched(log_prices, np.expm1(log_true), method), [0.5, 0.5], atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_finds_unequal_weights(method: Method) -> None:
    log_true = np.linspace(2, 5, 200)
    log_prices = np.column_stack([log_true + 0.2, log_true - 0.6, log_true + 3])
    np.testing.assert_allclose(searched(log_prices, np.expm1(log_true), method), [0.75, 0.25, 0], atol=0.01)


def test_the_gradient_of_the_smooth_smape_is_exact() -> None:
    log_prices, true = simulated(50, 4, seed=10)
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    _, gradient = blending._smooth_smape(weights, log_prices, true)
    steps = 1e-6 * np.eye(4)
    numeric = [
        (
            blending._smooth_smape(weights + step, log_prices, true)[0]
            - blending._smooth_smape(weights - step, log_prices, true)[0]
        )
        / 2e-6
        for step in steps
    ]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_perfect_member_gets_all_the_weight(method: Method) -> None:
    log_prices, true = simulated(100, 3, seed=1)
    log_prices[:, 1] = np.log1p(true)
    assert searched(log_prices, true, method).tolist() == [0.0, 1.0, 0.0]


def test_greedy_takes_the_fewest_picks_of_equals() -> None:
    log_prices, true = simulated(100, 1, seed=2)
    assert searched(np.repeat(log_prices, 3, axis=1), true, "greedy").tolist() == [1.0, 0.0, 0.0]


def test_greedy_picks_worked_by_hand() -> None:
    # One product of log price 3: member 0 is nearest alone; with member 1 twice it is met exactly.
    weights = searched([[3.2, 2.9, 6.0]], [np.expm1(3.0)], "greedy")
    np.testing.assert_allclose(weights, [1 / 3, 2 / 3, 0.0])


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_members_says_nothing(method: Method) -> None:
    log_prices, true = simulated(300, 5, seed=3)
    order = np.array([3, 0, 4, 1, 2])
    weights = searched(log_prices, true, method)
    np.testing.assert_allclose(searched(log_prices[:, order], true, method), weights[order], atol=2e-3)


@pytest.mark.parametrize("method", METHODS)
@given(rows=st.integers(1, 300), seed=st.integers(0, 1_000), prior=st.integers(1, 500))
def test_weights_are_averaged_with_equal_ones_of_members_that_are_not_clearly_worse(
    method: Method, rows: int, seed: int, prior: int
) -> None:
    log_prices, true = simulated(rows, 3, seed)
    log_prices[:, 2] = np.log1p(true) + 5  # clearly worse
    errors = [smape_per_product(np.expm1(member), true) for member in log_prices.T]
    first = int(np.argmin([error.mean() for error in errors[:2]]))
    behind = errors[1 - first] - errors[first]
    near = behind.mean() <= 2 * behind.std() / np.sqrt(rows)
    equal = np.array([0.5, 0.5, 0.0]) if near else np.eye(3)[first]
    expected = (rows * searched(log_prices, true, method) + prior * equal) / (rows + prior)
    expected[expected < LOWEST_WEIGHT] = 0
    found = fit_weights(log_prices, true, method, prior_rows=prior)
    np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_averaging_independent_errors_helps_on_new_products(method: Method) -> None:
    log_prices, true = simulated(2_000, 4, seed=4)
    folds = np.arange(2_000) % 5
    alone = min(smape(member, true) for member in log_prices.T)
    crossed = smape(cross_fitted_blend(log_prices, true, folds, method), true)
    assert crossed < alone - 1
    assert crossed >= smape(blend(log_prices, fit_weights(log_prices, true, method)), true) - 0.1


@pytest.mark.parametrize("method", METHODS)
def test_a_fold_is_blended_without_its_own_prices(method: Method) -> None:
    log_prices, true = simulated(300, 3, seed=5)
    folds = np.repeat(["a", "b", "c"], 100)
    blended = cross_fitted_blend(log_prices, true, folds, method)
    changed = cross_fitted_blend(log_prices, np.where(folds == "b", 10 * true, true), folds, method)
    np.testing.assert_array_equal(blended[folds == "b"], changed[folds == "b"])
    assert (blended[folds != "b"] != changed[folds != "b"]).any()
    weights = fit_weights(log_prices[folds != "b"], true[folds != "b"], method)
    np.testing.assert_array_equal(blended[folds == "b"], blend(log_prices[folds == "b"], weights))


def test_members_too_many_for_any_to_reach_the_lowest_weight_are_no_trouble() -> None:
    log_prices, true = simulated(50, 1, seed=6)
    weights = fit_weights(np.repeat(log_prices, 150, axis=1), true, "convex")
    assert weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_members_without_a_prediction_are_named(value: float) -> None:
    log_prices, true = simulated(10, 3, seed=7)
    log_prices[4, 2] = value
    with pytest.raises(DataError, match=rf"member 2 predicts {value} for row 4, expected finite.*\(1 such"):
        fit_weights(log_prices, true, "greedy")
    with pytest.raises(DataError, match="member 'moe' predicts"):
        fit_weights(log_prices, true, "convex", names=["ridge", "gbdt", "moe"])
