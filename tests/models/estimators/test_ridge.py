"""Ridge regression against scikit-learn's, and its penalty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.models.estimators import Estimator
from price_fusion.models.estimators.ridge import _equations_in_columns, _equations_in_rows


def reference(made: Any, estimator: Estimator, penalty: float) -> np.ndarray:
    fit = estimator.design.matrix(made.features, made.fit_rows)
    model = Ridge(alpha=penalty).fit(fit.astype(np.float64), made.log_prices[made.fit_rows])
    rows = np.arange(len(made.log_prices))
    return np.asarray(model.predict(estimator.design.matrix(made.features, rows).astype(np.float64)))


def test_is_that_of_scikit_learn(made: Any, fitted: Callable[..., Estimator], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("price_fusion.models.estimators.ridge.PENALTIES", (0.7,))
    monkeypatch.setattr("price_fusion.models.estimators.design.blocks.__defaults__", (64,))
    estimator = fitted("ridge", made)
    rows = np.flatnonzero(made.features.known().numpy())
    np.testing.assert_allclose(
        estimator.log_prices(made.features, rows), reference(made, estimator, 0.7)[rows], rtol=1e-5
    )


@pytest.mark.parametrize(("rows", "columns"), [(30, 200), (200, 30)])
def test_fewer_rows_than_columns_or_more_is_the_same_regression(rows: int, columns: int) -> None:
    rng = np.random.default_rng(0)
    matrix = (rng.standard_normal((rows, columns)) + 3).astype(np.float32)
    target = matrix[:, :5].sum(axis=1).astype(np.float64) + rng.standard_normal(rows)
    mean, centred = matrix.mean(axis=0), target - target.mean()
    for penalty in (0.03, 1.0, 100.0):
        expected = Ridge(alpha=penalty).fit(matrix.astype(np.float64), target).coef_
        for equations in (_equations_in_rows, _equations_in_columns):
            np.testing.assert_allclose(equations(matrix, mean, centred)(penalty), expected, atol=2e-3)


def test_columns_that_depend_on_each_other_have_a_solution_with_many_rows() -> None:
    rng = np.random.default_rng(0)
    half = 30 * rng.standard_normal((20_000, 100))
    matrix = np.hstack([half, half]).astype(np.float32)
    target = half[:, 0] + rng.standard_normal(len(half))
    weights = _equations_in_columns(matrix, matrix.mean(axis=0), target - target.mean())(0.03)
    np.testing.assert_allclose(weights, Ridge(alpha=0.03).fit(matrix.astype(np.float64), target).coef_, atol=1e-6)


def test_the_stop_rows_choose_the_penalty(made: Any, fitted: Callable[..., Estimator]) -> None:
    def best(made: Any, estimator: Estimator) -> float:
        stop = made.stop_rows
        true = np.expm1(made.log_prices[stop])
        errors = {
            penalty: smape_per_product(np.expm1(reference(made, estimator, penalty)[stop]), true).mean()
            for penalty in (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
        }
        return min(errors, key=lambda penalty: errors[penalty])

    chosen = fitted("ridge", made)
    assert chosen.description.settings == {"penalty": best(made, chosen)}
    made.log_prices[made.stop_rows] = made.log_prices[made.fit_rows].mean()
    flat = fitted("ridge", made)
    assert flat.description.settings == {"penalty": 100.0} != chosen.description.settings
