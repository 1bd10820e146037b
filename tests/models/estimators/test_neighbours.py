"""Retrieval against a loop over all pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from price_fusion.data.columns import column_matrix, completed
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.models.estimators import Estimator, fit_estimator, load_estimator
from price_fusion.models.estimators.geometry import Geometry
from price_fusion.models.estimators.neighbours import Found, Neighbours, Setting
from price_fusion.models.features import features_from_arrays
from price_fusion.parameters import ColumnSourceParameters, SourceParameters

SETTING = Setting(column_weight=0.5, neighbours=7, temperature=0.2, move=0.0)


def of_setting(made: Any, fitted: Callable[..., Estimator], setting: Setting) -> Neighbours:
    estimator = fitted("neighbours", made)
    assert isinstance(estimator, Neighbours)
    estimator.setting = setting
    return estimator


def brute_force(made: Any, estimator: Neighbours, setting: Setting, row: int) -> float:
    """The price of one product, one fit row at a time."""
    geometry = Geometry.of(estimator.design, estimator.design.matrix(made.features, made.fit_rows))
    ((embeddings,), (columns,)) = geometry.squared(estimator.design.matrix(made.features, np.array([row])))
    squared = [float(a + setting.column_weight * b) for a, b in zip(embeddings, columns, strict=True)]
    chosen = sorted(range(len(squared)), key=lambda place: squared[place])[: setting.neighbours]
    weights = np.exp([-squared[place] / setting.temperature for place in chosen])
    return float((weights * made.log_prices[made.fit_rows][chosen]).sum() / weights.sum())


@pytest.mark.parametrize("setting", [SETTING, Setting(0.0, 3, 0.05, 0.0), Setting(4.0, 40, 0.6, 0.0)])
def test_is_what_a_loop_gives(
    made: Any, fitted: Callable[..., Estimator], setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("price_fusion.models.estimators.geometry.STORED_ROWS", 50)
    monkeypatch.setattr("price_fusion.models.estimators.neighbours.QUERY_ROWS", 3)
    estimator = of_setting(made, fitted, setting)
    rows = np.flatnonzero(made.features.known().numpy())[-10:]
    np.testing.assert_allclose(
        estimator.log_prices(made.features, rows),
        [brute_force(made, estimator, setting, row) for row in rows],
        rtol=1e-5,
    )


def test_a_fit_row_is_its_own_nearest_neighbour(made: Any, fitted: Callable[..., Estimator]) -> None:
    made = made.complete()
    estimator = of_setting(made, fitted, Setting(1.0, 5, 1e-6, 0.0))
    rows = made.fit_rows
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
    module = "price_fusion.models.estimators.neighbours"
    settings = [(weight, count, heat, 0.0) for weight in (0.0, 1.0) for count in (2, 30) for heat in (0.1, 5.0)]
    for name, values in (("COLUMN_WEIGHTS", (0.0, 1.0)), ("NEIGHBOURS", (2, 30)), ("TEMPERATURES", (0.1, 5.0))):
        monkeypatch.setattr(f"{module}.{name}", values)
    monkeypatch.setattr(f"{module}.USUAL", Setting(0.0, 30, 5.0, 0.0))
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
    estimator = of_setting(made, fitted, Setting(0.0, 10_000, 1e9, 0.0))
    np.testing.assert_allclose(
        estimator.log_prices(made.features, made.other_rows[:3]), made.log_prices[made.fit_rows].mean(), rtol=1e-6
    )


def test_a_neighbour_of_less_is_moved_up_and_one_that_cannot_be_compared_counts_half() -> None:
    found = Found(np.zeros((1, 3), np.float32), np.array([[2.0, 3.0, 5.0]]), np.array([[1.0, -0.5, np.nan]]))
    assert found.mean(Setting(0.0, 3, 1.0, 0.0)) == pytest.approx((2 + 3 + 5) / 3)
    assert found.mean(Setting(0.0, 3, 1.0, 0.6)) == pytest.approx((2.6 + 2.7 + 5 / 2) / 2.5)
    assert found.mean(Setting(0.0, 2, 1.0, 0.6)) == pytest.approx((2.6 + 2.7) / 2)


@pytest.fixture
def drinks() -> tuple[Any, Any, Any]:
    """Features, sources and log prices of 300 products sold by volume or by the piece; a price is that of an amount."""
    generator = np.random.default_rng(6)
    volume, kind = generator.normal(5, 1, 300), generator.integers(0, 2, 300)
    texts = [
        f"Value: {np.exp(amount):.3f}\nUnit: {'ml' if sold else 'count'}"
        for amount, sold in zip(volume, kind, strict=True)
    ]
    products = pd.DataFrame({"sample_id": range(300), "catalog_content": texts})
    declared = ColumnSourceParameters(kind="columns", group="quantity", parse="quantity")
    sources = {
        "words": SourceParameters(width=8, group="text"),
        "quantity": completed(products, declared, "products"),
    }
    words = generator.normal(size=(300, 8)).astype(np.float32)
    arrays = {"words": words, "quantity": column_matrix(products, sources["quantity"], "products")}
    features = features_from_arrays(arrays, sources, dict.fromkeys(sources, "float32"))
    return features, sources, 1 + 0.8 * volume + 2 * kind


def test_the_stop_rows_choose_to_mind_the_amount(drinks: tuple[Any, Any, Any], tmp_path: Path) -> None:
    features, sources, log_prices = drinks
    rows = np.arange(300)
    estimator = fit_estimator("neighbours", features, sources, log_prices, rows[:200], rows[200:240])
    assert isinstance(estimator, Neighbours)
    assert estimator.setting.move > 0
    prices = estimator.log_prices(features, rows[240:])
    estimator.save(tmp_path / "neighbours")
    np.testing.assert_array_equal(load_estimator(tmp_path / "neighbours").log_prices(features, rows[240:]), prices)
    estimator.setting = estimator.setting._replace(move=0.0)
    unmoved = estimator.log_prices(features, rows[240:])
    assert np.abs(prices - log_prices[240:]).mean() < 0.8 * np.abs(unmoved - log_prices[240:]).mean()
