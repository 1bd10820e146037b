"""Retrieval against a loop over all pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from price_fusion.fusion.estimators import Estimator
from price_fusion.fusion.estimators.neighbours import Neighbours, Setting
from price_fusion.fusion.metrics import smape_per_product

SETTING = Setting(column_weight=0.5, neighbours=7, temperature=0.2)


def of_setting(made: Any, fitted: Callable[..., Estimator], setting: Setting) -> Neighbours:
    estimator = fitted("neighbours", made)
    assert isinstance(estimator, Neighbours)
    estimator.setting = setting
    return estimator


def brute_force(made: Any, estimator: Neighbours, setting: Setting, row: int) -> float:
    """The price of one product, one fit row at a time."""
    half = np.float16
    (query,) = estimator.design.matrix(made.features, np.array([row])).astype(half).astype(float)
    similarities = []
    for fit_row in made.fit_rows:
        (other,) = estimator.design.matrix(made.features, np.array([fit_row])).astype(half).astype(float)
        embedded, columns = [], []
        for value, stored, is_embedding in zip(query, other, estimator.design.is_embedding, strict=True):
            (embedded if is_embedding else columns).append((value, stored))
        cosine = sum(a * b for a, b in embedded) / 2  # of two sources that have an embedding
        difference = sum((a - b) ** 2 for a, b in columns) / len(columns)
        similarities.append(cosine - setting.column_weight * difference)
    chosen = sorted(range(len(similarities)), key=lambda place: -similarities[place])[: setting.neighbours]
    weights = np.exp([similarities[place] / setting.temperature for place in chosen])
    return float((weights * made.log_prices[made.fit_rows][chosen]).sum() / weights.sum())


@pytest.mark.parametrize("setting", [SETTING, Setting(0.0, 3, 0.05), Setting(4.0, 40, 0.6)])
def test_is_what_a_loop_gives(
    made: Any, fitted: Callable[..., Estimator], setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("price_fusion.fusion.estimators.neighbours.STORED_ROWS", 50)
    monkeypatch.setattr("price_fusion.fusion.estimators.neighbours.QUERY_ROWS", 3)
    estimator = of_setting(made, fitted, setting)
    rows = np.flatnonzero(made.features.known().numpy())[-10:]
    np.testing.assert_allclose(
        estimator.log_prices(made.features, rows),
        [brute_force(made, estimator, setting, row) for row in rows],
        rtol=1e-5,
    )


def test_a_fit_row_is_its_own_nearest_neighbour(made: Any, fitted: Callable[..., Estimator]) -> None:
    estimator = of_setting(made, fitted, Setting(1.0, 5, 1e-6))
    known = made.features.known().numpy()[made.fit_rows]
    rows = made.fit_rows[known]
    np.testing.assert_allclose(estimator.log_prices(made.features, rows), made.log_prices[rows], rtol=1e-6)


def test_prices_of_stop_rows_only_choose(made: Any, fitted: Callable[..., Estimator]) -> None:
    before = of_setting(made, fitted, SETTING)
    made.log_prices[made.stop_rows] = 9.0
    after = of_setting(made, fitted, SETTING)
    rows = np.arange(len(made.log_prices))
    np.testing.assert_array_equal(before.log_prices(made.features, rows), after.log_prices(made.features, rows))


def test_a_fit_rows_price_moves_those_of_products_like_it(made: Any, fitted: Callable[..., Estimator]) -> None:
    before = of_setting(made, fitted, SETTING)
    made.log_prices[made.fit_rows[3]] += 1
    after = of_setting(made, fitted, SETTING)
    row = made.fit_rows[3:4]
    assert after.log_prices(made.features, row) > before.log_prices(made.features, row)


def test_the_stop_rows_choose_the_setting(
    made: Any, fitted: Callable[..., Estimator], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "price_fusion.fusion.estimators.neighbours"
    settings = [(weight, count, heat) for weight in (0.0, 1.0) for count in (2, 30) for heat in (0.1, 5.0)]
    for name, values in (("COLUMN_WEIGHTS", (0.0, 1.0)), ("NEIGHBOURS", (2, 30)), ("TEMPERATURES", (0.1, 5.0))):
        monkeypatch.setattr(f"{module}.{name}", values)
    estimator = fitted("neighbours", made)
    assert isinstance(estimator, Neighbours)
    chosen, errors = estimator.setting, {}
    for setting in settings:
        estimator.setting = Setting(*setting)
        guessed = np.expm1(estimator.log_prices(made.features, made.stop_rows))
        errors[setting] = smape_per_product(guessed, np.expm1(made.log_prices[made.stop_rows])).mean()
    assert chosen == min(errors, key=lambda setting: errors[setting])
    assert estimator.description.settings == chosen._asdict()


def test_more_neighbours_than_fit_rows_are_all_of_them(made: Any, fitted: Callable[..., Estimator]) -> None:
    estimator = of_setting(made, fitted, Setting(0.0, 10_000, 1e9))
    np.testing.assert_allclose(
        estimator.log_prices(made.features, made.other_rows[:3]), made.log_prices[made.fit_rows].mean(), rtol=1e-6
    )
