"""Kernel ridge regression against scikit-learn's, with all rows and with some of them as centres."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process.kernels import Matern
from sklearn.kernel_ridge import KernelRidge as SklearnKernelRidge

from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.models.estimators import Estimator, fit_estimator
from price_fusion.models.estimators.geometry import Geometry
from price_fusion.models.estimators.kernel_ridge import KernelRidge, Setting, matern, row_penalties
from price_fusion.models.features import features_from_arrays
from price_fusion.parameters import ComparisonParameters, SourceParameters

MODULE = "price_fusion.models.estimators.kernel_ridge"
SETTING = Setting(1.4, 0.1)
FEW = ComparisonParameters(kernel_memory_gb=8e-9 * 60**2)
"""Memory for a kernel of 60 rows."""


@pytest.fixture
def one_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The grid is one setting."""
    monkeypatch.setattr(f"{MODULE}.LENGTHS", SETTING[:1])
    monkeypatch.setattr(f"{MODULE}.PENALTIES", SETTING[1:])
    monkeypatch.setattr(f"{MODULE}.USUAL", SETTING)


def kernel_of(made: Any, estimator: Estimator, rows: Any) -> np.ndarray:
    """The kernel of products with fit rows, (M, F) float64."""
    matrix = estimator.design.matrix(made.features, made.fit_rows)
    squared = Geometry.of(estimator.design, matrix).squared(estimator.design.matrix(made.features, rows)).both
    return np.asarray(matern(squared, SETTING.length), np.float64)


def test_the_kernel_is_that_of_scikit_learn() -> None:
    points = np.random.default_rng(0).normal(size=(20, 3))
    squared = ((points[:, None] - points) ** 2).sum(axis=2)
    np.testing.assert_allclose(
        matern(squared.astype(np.float32), 0.8), Matern(length_scale=0.8, nu=1.5)(points), atol=1e-6
    )


def test_is_that_of_scikit_learn(made: Any, fitted: Callable[..., Estimator], one_setting: None) -> None:
    estimator = fitted("kernel_ridge", made)
    fit, rows = made.fit_rows, np.flatnonzero(made.features.known().numpy())
    among = kernel_of(made, estimator, fit)
    np.fill_diagonal(among, 1)
    target = made.log_prices[fit]
    # Each row as a model of the others predicts it, by leaving it out in truth.
    residuals = []
    for row in range(len(fit)):
        others = np.delete(np.arange(len(fit)), row)
        model = SklearnKernelRidge(alpha=SETTING.penalty, kernel="precomputed")
        model.fit(among[np.ix_(others, others)], target[others] - target.mean())
        residuals.append(target[row] - target.mean() - model.predict(among[[row]][:, others])[0])
    shares = SETTING.penalty / row_penalties(np.array(residuals), SETTING.penalty)
    level = np.average(target, weights=shares)
    reference = SklearnKernelRidge(alpha=SETTING.penalty, kernel="precomputed")
    reference.fit(among, target - level, sample_weight=shares)
    expected = level + reference.predict(kernel_of(made, estimator, rows))
    np.testing.assert_allclose(estimator.log_prices(made.features, rows), expected, atol=1e-4)


@given(
    residuals=st.lists(st.floats(-3, 3).filter(lambda value: abs(value) > 0.01), min_size=2, max_size=20),
    penalty=st.floats(0.01, 1),
)
def test_penalties_of_rows_are_those_of_smape(residuals: list[float], penalty: float) -> None:
    found = row_penalties(np.array(residuals), penalty)
    assert np.exp(np.log(found).mean()) == pytest.approx(penalty)
    # Reweighted least squares: the weight of a row is the slope of its loss over its residual.
    size = np.maximum(np.abs(residuals), 0.1 * np.median(np.abs(residuals)))
    step = 1e-5
    low, high = (smape_per_product(np.exp(size + change), np.ones(len(size))) for change in (-step, step))
    weights = (high - low) / (2 * step) / size
    np.testing.assert_allclose(found * weights / (found[0] * weights[0]), 1, rtol=1e-4)


@pytest.mark.parametrize("residuals", [[0.0, 0.0, 0.0], [0.0], [0.0, 0.0, 1.0]])
def test_rows_without_residuals_have_one_penalty(residuals: list[float]) -> None:
    np.testing.assert_array_equal(row_penalties(np.array(residuals), 0.1), 0.1)


def test_centres_give_the_least_squares_of_all_fit_rows(
    made: Any, one_setting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{MODULE}.QUERY_ROWS", 50)
    sources, fit = made.sources, made.fit_rows
    estimator = fit_estimator(
        "kernel_ridge", made.features, sources, made.log_prices, fit, made.stop_rows, options=FEW, seed=5
    )
    assert isinstance(estimator, KernelRidge)
    drawn = np.sort(np.random.default_rng(5).choice(len(fit), 60, replace=False))
    assert len(estimator.centres) == 60
    centres = Geometry.of(estimator.design, estimator.design.matrix(made.features, fit[drawn]))
    rows = np.flatnonzero(made.features.known().numpy())

    def kernel(rows: Any) -> np.ndarray:
        squared = centres.squared(estimator.design.matrix(made.features, rows)).both
        return np.asarray(matern(squared, SETTING.length), np.float64)

    # Rows for the penalty under those of the products: |K a - z|^2 + penalty a' K_c a.
    root = np.linalg.cholesky(kernel(fit[drawn]) + 1e-6 * np.eye(60)).T
    target = made.log_prices[fit]

    def solved(level: float, shares: np.ndarray) -> np.ndarray:
        stacked = np.vstack([np.sqrt(shares)[:, None] * kernel(fit), np.sqrt(SETTING.penalty) * root])
        return np.linalg.lstsq(stacked, np.r_[np.sqrt(shares) * (target - level), np.zeros(60)])[0]

    residuals = target - target.mean() - kernel(fit) @ solved(target.mean(), np.ones(len(fit)))
    shares = SETTING.penalty / row_penalties(residuals, SETTING.penalty)
    level = np.average(target, weights=shares)
    expected = level + kernel(rows) @ solved(level, shares)
    np.testing.assert_allclose(estimator.log_prices(made.features, rows), expected, atol=2e-3)


def test_centres_come_near_to_all_rows_and_are_drawn_by_the_seed(made: Any, one_setting: None) -> None:
    def prices(options: ComparisonParameters, seed: int) -> np.ndarray:
        estimator = fit_estimator(
            "kernel_ridge", made.features, made.sources, made.log_prices, made.fit_rows, made.stop_rows,
            options=options, seed=seed,
        )  # fmt: skip
        return estimator.log_prices(made.features, made.other_rows)

    exact, some = prices(ComparisonParameters(), 1), prices(FEW, 1)
    np.testing.assert_array_equal(prices(FEW, 1), some)
    assert not np.array_equal(prices(FEW, 2), some)
    assert np.abs(some - exact).mean() < 0.5 * exact.std()


def test_the_stop_rows_choose_the_setting(
    made: Any, fitted: Callable[..., Estimator], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{MODULE}.QUERY_ROWS", 16)  # of the stop rows, in blocks
    errors = {}
    grid = [Setting(length, penalty) for length in (0.2, 1.4) for penalty in (0.1, 5.0)]
    for setting in grid:
        monkeypatch.setattr(f"{MODULE}.LENGTHS", setting[:1])
        monkeypatch.setattr(f"{MODULE}.PENALTIES", setting[1:])
        monkeypatch.setattr(f"{MODULE}.USUAL", setting)
        logs = fitted("kernel_ridge", made).log_prices(made.features, made.stop_rows)
        errors[setting] = smape_per_product(np.expm1(logs), np.expm1(made.log_prices[made.stop_rows])).mean()
    monkeypatch.setattr(f"{MODULE}.LENGTHS", (0.2, 1.4))
    monkeypatch.setattr(f"{MODULE}.PENALTIES", (0.1, 5.0))
    monkeypatch.setattr(f"{MODULE}.USUAL", max(grid, key=lambda setting: errors[setting]))
    best = min(grid, key=lambda setting: errors[setting])
    assert fitted("kernel_ridge", made).description.settings == {**best._asdict(), "seed": 3}


def test_the_order_of_fit_rows_does_not_matter(made: Any, fitted: Callable[..., Estimator], one_setting: None) -> None:
    shuffled = fit_estimator(
        "kernel_ridge", made.features, made.sources, made.log_prices, made.fit_rows[::-1].copy(), made.stop_rows
    )
    rows = made.other_rows
    np.testing.assert_allclose(
        shuffled.log_prices(made.features, rows),
        fitted("kernel_ridge", made).log_prices(made.features, rows),
        atol=1e-4,
    )


def test_a_product_that_lacks_sources_is_between_what_it_has_and_the_mean(
    made: Any, fitted: Callable[..., Estimator]
) -> None:
    made = made.complete()
    estimator, rows = fitted("kernel_ridge", made), made.other_rows
    mean = made.log_prices[made.fit_rows].mean()
    whole = estimator.log_prices(made.features, rows)
    made.known["picture"][rows] = False  # which says nothing of the price
    lacking = estimator.log_prices(made.features, rows)
    assert np.corrcoef(whole, lacking)[0, 1] > 0.9
    made.known["words"][rows] = made.known["facts"][rows] = False
    made.known["picture"][rows] = True
    assert np.abs(estimator.log_prices(made.features, rows) - mean).mean() < 0.5 * np.abs(whole - mean).mean()


@pytest.mark.parametrize("equal", ["products", "prices"])
@pytest.mark.parametrize("options", [ComparisonParameters(), FEW])
def test_equal_products_or_prices_give_one_price(made: Any, equal: str, options: ComparisonParameters) -> None:
    if equal == "products":
        for array in made.arrays.values():
            array[:] = array[:1]
        made = made.complete()
    else:
        made.log_prices[:] = 2.5
    estimator = fit_estimator(
        "kernel_ridge", made.features, made.sources, made.log_prices, made.fit_rows, made.stop_rows, options=options
    )
    known = np.flatnonzero(made.features.known().numpy())
    found, true = estimator.log_prices(made.features, known), made.log_prices[made.fit_rows]
    np.testing.assert_allclose(found, found[0], atol=1e-3)
    of_it, of_mean = (smape_per_product(np.expm1([price]), np.expm1(true)).mean() for price in (found[0], true.mean()))
    assert of_it <= of_mean + 0.1


@settings(max_examples=20, deadline=None)
@given(count=st.integers(4, 50), width=st.integers(1, 3), seed=st.integers(0, 99), memory=st.sampled_from([2.0, 2e-7]))
def test_few_products_of_few_numbers_have_finite_prices_within_reach(
    count: int, width: int, seed: int, memory: float
) -> None:
    generator = np.random.default_rng(seed)
    source = {"words": SourceParameters(width=width, group="text")}
    vectors = generator.integers(-2, 3, size=(count, width)).astype(np.float32)
    features = features_from_arrays({"words": vectors}, source, {"words": "float16"})
    log_prices = generator.normal(3, 1, count)
    rows = np.arange(count)
    options = ComparisonParameters(kernel_memory_gb=memory)
    estimator = fit_estimator("kernel_ridge", features, source, log_prices, rows[:-2], rows[-2:], options=options)
    found = estimator.log_prices(features, rows)
    assert np.isfinite(found).all()
    assert np.abs(found - log_prices.mean()).max() < 5 * log_prices.std() + 1
