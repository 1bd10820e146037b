"""What more labels would bring: a power law that is exact where it must be, of fits on parts of the train rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.table import EmbeddingTable
from price_fusion.evaluation.baselines import SplitFeatures
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.parameters import ComparisonParameters
from price_fusion.selection.learning_curve import learning_curve, power_law, with_twice_the_rows

ROWS, TRAIN, VALIDATION = 500, 240, 60


@given(exponent=st.floats(-1, 0), factor=st.floats(1, 200), rows=st.integers(10, 10**6))
def test_a_power_law_is_found_and_extended(exponent: float, factor: float, rows: int) -> None:
    sizes = [rows, 2 * rows, 4 * rows]
    smape = factor * np.array(sizes, float) ** exponent
    assert power_law(sizes, smape) == pytest.approx([exponent, np.log(factor)], abs=1e-6)
    assert with_twice_the_rows(sizes, smape) == pytest.approx(factor * (8.0 * rows) ** exponent, rel=1e-6)


def test_resamples_are_fitted_each_by_itself() -> None:
    smape = np.array([[60.0, 50.0], [55.0, 49.0], [52.0, 48.5]])
    both = with_twice_the_rows([10, 20, 40], smape)
    assert both == pytest.approx([with_twice_the_rows([10, 20, 40], column) for column in smape.T])


@pytest.fixture
def measured(make_table: Callable[..., EmbeddingTable]) -> Callable[..., tuple[dict[str, Any], float]]:
    """A function: the curve with so many train rows, and the SMAPE of a ridge on all of them."""
    generator = np.random.default_rng(4)
    ids = np.arange(ROWS) + 1_000
    pictures = generator.normal(size=(ROWS, 40))
    log_prices = 3 + 0.15 * pictures.sum(axis=1) + generator.normal(scale=0.2, size=ROWS)
    samples = pd.DataFrame({"sample_id": ids, "price": np.exp(log_prices), "group_key": ids})
    tables = {"picture": make_table(ids, pictures, source="picture")}

    def measure(train: int) -> tuple[dict[str, Any], float]:
        split = ["train"] * train + ["validation"] * VALIDATION + ["holdout"] * (ROWS - train - VALIDATION)
        table, options = pd.DataFrame({"sample_id": ids, "split": split}), ComparisonParameters(boosting_threads=1)
        curve = learning_curve(samples, table, tables, options=options, resamples=200, seed=3)
        products = SplitFeatures.of(samples, table, tables)
        prices = products.ridge_prices(("picture",), options, 3)
        return curve, float(smape_per_product(prices, samples["price"].to_numpy()[products.evaluated]).mean())

    return measure


def test_sizes_are_means_of_fits_and_the_last_is_the_ridge_itself(
    measured: Callable[..., tuple[dict[str, Any], float]],
) -> None:
    curve, whole = measured(TRAIN)
    assert [(size["rows"], size["fits"]) for size in curve["sizes"]] == [(60, 4), (120, 2), (240, 1)]
    smape = [size["smape"] for size in curve["sizes"]]
    assert smape[-1] == pytest.approx(whole)
    assert smape == sorted(smape, reverse=True)
    assert all(size["smape_low"] < size["smape"] < size["smape_high"] for size in curve["sizes"])
    twice = curve["twice"]
    assert twice["rows"] == 480
    assert twice["smape"] == pytest.approx(smape[-1] - twice["gain"])
    assert twice["gain_low"] < twice["gain"] < twice["gain_high"]
    assert measured(TRAIN)[0] == curve


def test_a_quarter_of_few_rows_says_nothing(measured: Callable[..., tuple[dict[str, Any], float]]) -> None:
    curve, _ = measured(99)
    assert (curve["sizes"], curve["twice"]) == ([], None)
