"""Yardsticks: fitted on train rows alone, evaluated where the variants are."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from price_fusion.fusion.metrics import smape_per_product
from price_fusion.fusion.tables.table import EmbeddingTable
from price_fusion.fusion.yardsticks import LIGHTGBM_ADVICE, yardstick_results

HAS_LIGHTGBM = importlib.util.find_spec("lightgbm") is not None

Case = tuple[pd.DataFrame, pd.DataFrame, dict[str, EmbeddingTable]]


@pytest.fixture
def make_case(make_table: Callable[..., EmbeddingTable]) -> Callable[..., Case]:
    """A function that makes 300 products whose log price is linear in the direction of their embedding."""

    def make(
        rows_per_shard: int = 1_000, structural: bool = True, first_row: float | None = None, shuffled: bool = False
    ) -> Case:
        generator = np.random.default_rng(8)
        vectors = generator.normal(size=(300, 6)).astype(np.float16).astype(np.float32)
        quantity = np.exp(generator.normal(size=(300, 1))).astype(np.float32)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        price = np.exp(3 + 2 * unit[:, 0] - unit[:, 3] + 0.5 * np.log1p(quantity[:, 0]) * structural)
        samples = pd.DataFrame({"sample_id": np.arange(300), "price": price, "row_words": np.arange(300)})
        split = pd.DataFrame({"split": ["train"] * 200 + ["validation"] * 40 + ["holdout"] * 60})
        split = split.sample(frac=1, random_state=3, ignore_index=True) if shuffled else split
        stored = np.hstack([vectors, quantity]) if structural else vectors
        if first_row is not None:
            stored[0] = first_row
        table = make_table(range(300), stored, structural_columns=int(structural), rows_per_shard=rows_per_shard)
        return samples, split, {"words": table}

    return make


def smape(results: pd.DataFrame, name: str) -> float:
    return float(smape_per_product(results[name], results["price"]).mean())


def test_evaluates_the_holdout(make_case: Callable[..., Case]) -> None:
    samples, split, tables = make_case()
    results = yardstick_results(samples, split, tables)
    assert results.columns.tolist()[:4] == ["sample_id", "price", "median", "ridge"]
    np.testing.assert_array_equal(results["sample_id"], samples["sample_id"][240:])
    np.testing.assert_array_equal(results["price"], samples["price"][240:])


def test_evaluates_validation_where_there_is_no_holdout(make_case: Callable[..., Case]) -> None:
    samples, split, tables = make_case()
    results = yardstick_results(samples, split.replace("holdout", "validation"), tables)
    np.testing.assert_array_equal(results["price"], samples["price"][200:])
    assert smape(results, "ridge") < 8


def test_rows_of_the_splits_may_be_mixed(make_case: Callable[..., Case]) -> None:
    samples, split, tables = make_case(shuffled=True)
    results = yardstick_results(samples, split, tables)
    held_out = (split["split"] == "holdout").to_numpy()
    np.testing.assert_array_equal(results["sample_id"], samples.loc[held_out, "sample_id"])
    train = samples.loc[(split["split"] == "train").to_numpy(), "price"]
    assert results["median"].to_numpy() == pytest.approx(float(train.median()))
    assert smape(results, "ridge") < 8


def test_the_median_is_that_of_train_rows(make_case: Callable[..., Case]) -> None:
    samples, split, tables = make_case()
    assert set(yardstick_results(samples, split, tables)["median"]) == {np.median(samples["price"][:200])}


@pytest.mark.parametrize("structural", [True, False])
def test_ridge_finds_what_is_linear(make_case: Callable[..., Case], structural: bool) -> None:
    results = yardstick_results(*make_case(structural=structural))
    assert smape(results, "ridge") < 8 < 40 < smape(results, "median")


def test_ridge_is_that_of_scikit_learn(make_case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("price_fusion.fusion.yardsticks.RIDGE_PENALTIES", (0.7,))
    monkeypatch.setattr("price_fusion.fusion.yardsticks.BLOCK_ROWS", 64)
    samples, split, tables = make_case(structural=False)
    vectors = np.concatenate(tables["words"].vectors).astype(np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    model = Ridge(alpha=0.7).fit(unit[:200], np.log1p(samples["price"][:200]))
    np.testing.assert_allclose(
        yardstick_results(samples, split, tables)["ridge"], np.expm1(model.predict(unit[240:])), rtol=1e-4
    )


def test_prices_of_evaluated_rows_change_no_prediction(make_case: Callable[..., Case]) -> None:
    samples, split, tables = make_case()
    before = yardstick_results(samples, split, tables)
    samples.loc[240:, "price"] = 1e5
    after = yardstick_results(samples, split, tables)
    assert (after["price"] == 1e5).all()
    pd.testing.assert_frame_equal(before.drop(columns="price"), after.drop(columns="price"))


def test_shards_do_not_matter(make_case: Callable[..., Case]) -> None:
    whole, pieces = yardstick_results(*make_case()), yardstick_results(*make_case(rows_per_shard=70))
    pd.testing.assert_frame_equal(whole, pieces)


def test_missing_products_get_the_same_price_whatever_row_zero_holds(make_case: Callable[..., Case]) -> None:
    both = []
    for first_row in (-1.0, 1000.0):
        samples, split, tables = make_case(first_row=first_row)
        samples.loc[[0, 5, 210, 250, 299], "row_words"] = -1
        both.append(yardstick_results(samples, split, tables)["ridge"].to_numpy())
    np.testing.assert_array_equal(both[0], both[1])
    assert both[0][10] == both[0][59]
    assert (np.isfinite(both[0]) & (both[0] >= 0.01)).all()


@pytest.mark.skipif(not HAS_LIGHTGBM, reason="lightgbm is an optional extra")
def test_lightgbm_learns_and_gives_the_same_again_on_any_number_of_threads(make_case: Callable[..., Case]) -> None:
    samples, split, tables = make_case()
    many = yardstick_results(samples, split, tables, lightgbm_threads=1, seed=5)
    assert smape(many, "lightgbm") < 0.7 * smape(many, "median")
    few, again = (
        yardstick_results(samples, split, tables, lightgbm_rounds=5, lightgbm_threads=threads, seed=5)
        for threads in (1, 2)
    )
    pd.testing.assert_frame_equal(few, again)
    assert smape(few, "lightgbm") > smape(many, "lightgbm")


def test_without_lightgbm_its_column_is_left_out_and_a_line_says_how_to_get_it(
    make_case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with caplog.at_level(logging.INFO, logger="price_fusion"):
        results = yardstick_results(*make_case())
    assert results.columns.tolist() == ["sample_id", "price", "median", "ridge"]
    assert [record.message for record in caplog.records].count(LIGHTGBM_ADVICE) == 1
