"""Yardsticks: fitted on train rows alone, evaluated where the variants are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from price_fusion.fusion.metrics import price_metrics
from price_fusion.fusion.tables.table import EmbeddingTable
from price_fusion.fusion.yardsticks import yardstick_prices

Case = tuple[pd.DataFrame, pd.DataFrame, dict[str, EmbeddingTable]]


@pytest.fixture
def make_case(make_table: Callable[..., EmbeddingTable]) -> Callable[..., Case]:
    """A function that makes 300 products whose log price is linear in the direction of their embedding."""

    def make(rows_per_shard: int = 1_000, structural: bool = True, first_row: float | None = None) -> Case:
        generator = np.random.default_rng(8)
        vectors = generator.normal(size=(300, 6)).astype(np.float16).astype(np.float32)
        quantity = np.exp(generator.normal(size=(300, 1))).astype(np.float32)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        price = np.exp(3 + 2 * unit[:, 0] - unit[:, 3] + 0.5 * np.log1p(quantity[:, 0]) * structural)
        samples = pd.DataFrame({"sample_id": np.arange(300), "price": price, "row_words": np.arange(300)})
        split = pd.DataFrame({"split": ["train"] * 200 + ["validation"] * 40 + ["holdout"] * 60})
        stored = np.hstack([vectors, quantity]) if structural else vectors
        if first_row is not None:
            stored[0] = first_row
        table = make_table(range(300), stored, structural_columns=int(structural), rows_per_shard=rows_per_shard)
        return samples, split, {"words": table}

    return make


def test_evaluates_the_holdout(make_case: Callable[..., Case]) -> None:
    samples, split, tables = make_case()
    evaluated, true, predicted = yardstick_prices(samples, split, tables)
    assert evaluated == "holdout"
    np.testing.assert_array_equal(true, samples["price"][240:])
    assert list(predicted) == ["ridge", "median"]
    assert all(prices.shape == (60,) for prices in predicted.values())


def test_evaluates_validation_where_there_is_no_holdout(make_case: Callable[..., Case]) -> None:
    samples, split, tables = make_case()
    evaluated, true, _ = yardstick_prices(samples, split.replace("holdout", "validation"), tables)
    assert evaluated == "validation"
    np.testing.assert_array_equal(true, samples["price"][200:])


def test_the_median_is_that_of_train_rows(make_case: Callable[..., Case]) -> None:
    samples, split, tables = make_case()
    _, _, predicted = yardstick_prices(samples, split, tables)
    assert set(predicted["median"]) == {np.median(samples["price"][:200])}


@pytest.mark.parametrize("structural", [True, False])
def test_ridge_finds_what_is_linear(make_case: Callable[..., Case], structural: bool) -> None:
    _, true, predicted = yardstick_prices(*make_case(structural=structural))
    ridge, median = (price_metrics(predicted[name], true)["smape"] for name in ("ridge", "median"))
    assert ridge < 8 < 40 < median


def test_prices_of_evaluated_rows_change_no_prediction(make_case: Callable[..., Case]) -> None:
    samples, split, tables = make_case()
    _, _, before = yardstick_prices(samples, split, tables)
    samples.loc[240:, "price"] = 1e5
    _, true, after = yardstick_prices(samples, split, tables)
    assert (true == 1e5).all()
    np.testing.assert_array_equal(before["ridge"], after["ridge"])


def test_shards_do_not_matter(make_case: Callable[..., Case]) -> None:
    whole, pieces = yardstick_prices(*make_case()), yardstick_prices(*make_case(rows_per_shard=70))
    np.testing.assert_array_equal(whole[2]["ridge"], pieces[2]["ridge"])


def test_missing_products_get_the_same_price_whatever_row_zero_holds(make_case: Callable[..., Case]) -> None:
    both = []
    for first_row in (-1.0, 1000.0):
        samples, split, tables = make_case(first_row=first_row)
        samples.loc[[0, 5, 210, 250, 299], "row_words"] = -1
        _, _, predicted = yardstick_prices(samples, split, tables)
        both.append(predicted["ridge"])
    np.testing.assert_array_equal(both[0], both[1])
    assert both[0][10] == both[0][59]
    assert (np.isfinite(both[0]) & (both[0] >= 0.01)).all()
