"""Baselines: fitted on train rows alone, evaluated where the variants are."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from price_fusion.data.columns import draft_columns
from price_fusion.data.table import EmbeddingTable, write_table
from price_fusion.errors import TrainingError
from price_fusion.evaluation.baselines import baseline_results
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.models.estimators import ESTIMATORS
from price_fusion.parameters import ColumnSourceParameters, ComparisonParameters
from support.aligned import aligned

HAS_LIGHTGBM = importlib.util.find_spec("lightgbm") is not None
BOOSTED = [kind for kind in ("lightgbm", "catboost") if importlib.util.find_spec(kind)]

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
        samples = pd.DataFrame({"sample_id": np.arange(300), "price": price})
        split = pd.DataFrame({"split": ["train"] * 200 + ["validation"] * 40 + ["holdout"] * 60})
        split = split.sample(frac=1, random_state=3, ignore_index=True) if shuffled else split
        stored = np.hstack([vectors, quantity]) if structural else vectors
        if first_row is not None:
            stored[0] = first_row
        table = make_table(range(300), stored, structural_columns=int(structural), rows_per_shard=rows_per_shard)
        return samples, split, {"words": table}

    return make


def priced(
    samples: pd.DataFrame, split: pd.DataFrame, tables: dict[str, EmbeddingTable], rounds: int = 5, seed: int = 5
) -> pd.DataFrame:
    """The baselines with few trees, on one thread."""
    return baseline_results(
        samples, split, tables, options=ComparisonParameters(boosting_rounds=rounds, boosting_threads=1), seed=seed
    )


def smape(results: pd.DataFrame, name: str) -> float:
    return float(smape_per_product(results[name], results["price"]).mean())


def test_evaluates_the_holdout(make_case: Callable[..., Case]) -> None:
    samples, split, tables = make_case()
    results = priced(samples, split, tables)
    assert results.columns.tolist() == ["sample_id", "price", "median", "ridge", "kernel_ridge", "neighbours", *BOOSTED]
    np.testing.assert_array_equal(results["sample_id"], samples["sample_id"][240:])
    np.testing.assert_array_equal(results["price"], samples["price"][240:])


def test_evaluates_validation_where_there_is_no_holdout(make_case: Callable[..., Case]) -> None:
    samples, split, tables = make_case()
    results = priced(samples, split.replace("holdout", "validation"), tables)
    np.testing.assert_array_equal(results["price"], samples["price"][200:])
    assert smape(results, "ridge") < 8


def test_rows_of_the_splits_may_be_mixed(make_case: Callable[..., Case]) -> None:
    samples, split, tables = make_case(shuffled=True)
    results = priced(samples, split, tables)
    held_out = (split["split"] == "holdout").to_numpy()
    np.testing.assert_array_equal(results["sample_id"], samples.loc[held_out, "sample_id"])
    train = samples.loc[(split["split"] == "train").to_numpy(), "price"]
    assert results["median"].to_numpy() == pytest.approx(float(train.median()))
    assert smape(results, "ridge") < 8


def test_the_median_is_that_of_train_rows(make_case: Callable[..., Case]) -> None:
    samples, split, tables = make_case()
    assert set(priced(samples, split, tables)["median"]) == {np.median(samples["price"][:200])}


@pytest.mark.parametrize("structural", [True, False])
def test_ridge_finds_what_is_linear(make_case: Callable[..., Case], structural: bool) -> None:
    results = priced(*make_case(structural=structural))
    assert smape(results, "ridge") < 8 < 40 < smape(results, "median")


def test_ridge_is_that_of_scikit_learn(make_case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("price_fusion.models.estimators.ridge.PENALTIES", (0.7,))
    monkeypatch.setattr("price_fusion.models.estimators.design.blocks.__defaults__", (64,))
    samples, split, tables = make_case(structural=False)
    vectors = np.concatenate(tables["words"].vectors).astype(np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    model = Ridge(alpha=0.7).fit(unit[:200], np.log1p(samples["price"][:200]))
    np.testing.assert_allclose(priced(samples, split, tables)["ridge"], np.expm1(model.predict(unit[240:])), rtol=1e-4)


def test_prices_of_evaluated_rows_change_no_prediction(make_case: Callable[..., Case]) -> None:
    samples, split, tables = make_case()
    before = priced(samples, split, tables)
    samples.loc[240:, "price"] = 1e5
    after = priced(samples, split, tables)
    assert (after["price"] == 1e5).all()
    pd.testing.assert_frame_equal(before.drop(columns="price"), after.drop(columns="price"))


def test_shards_do_not_matter(make_case: Callable[..., Case]) -> None:
    whole, pieces = priced(*make_case()), priced(*make_case(rows_per_shard=70))
    pd.testing.assert_frame_equal(whole, pieces)


def test_missing_products_get_the_same_price_whatever_row_zero_holds(make_case: Callable[..., Case]) -> None:
    both = []
    for first_row in (-1.0, 1000.0):
        samples, split, tables = make_case(first_row=first_row)
        rows = np.arange(300)
        rows[[0, 5, 210, 250, 299]] = -1
        samples, tables = aligned(samples, tables, words=rows)
        both.append(priced(samples, split, tables)["ridge"].to_numpy())
    np.testing.assert_array_equal(both[0], both[1])
    assert both[0][10] == both[0][59]
    assert (np.isfinite(both[0]) & (both[0] >= 0.01)).all()


@pytest.mark.skipif(not HAS_LIGHTGBM, reason="lightgbm is an optional extra")
def test_lightgbm_learns_and_gives_the_same_again_on_any_number_of_threads(make_case: Callable[..., Case]) -> None:
    samples, split, tables = make_case()
    many = priced(samples, split, tables, rounds=2_000)
    assert smape(many, "lightgbm") < 0.7 * smape(many, "median")
    few, again = (
        baseline_results(
            samples, split, tables, options=ComparisonParameters(boosting_rounds=5, boosting_threads=threads), seed=5
        )
        for threads in (1, 2)
    )
    np.testing.assert_array_equal(few["lightgbm"], again["lightgbm"])
    assert smape(few, "lightgbm") > smape(many, "lightgbm")


@pytest.mark.parametrize("kind", ["lightgbm", "catboost"])
def test_without_its_package_a_kind_is_left_out_and_a_line_says_how_to_get_it(
    make_case: Callable[..., Case], kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, kind, None)
    with caplog.at_level(logging.INFO, logger="price_fusion"):
        results = priced(*make_case())
    others = [boosted for boosted in BOOSTED if boosted != kind]
    assert results.columns.tolist() == ["sample_id", "price", "median", "ridge", "kernel_ridge", "neighbours", *others]
    advice = f'{kind} is not installed: pip install --constraint requirements.lock --editable ".[{kind}]" brings it. The leaderboard leaves it out.'
    assert [record.message for record in caplog.records].count(advice) == 1
    assert "comparison.tabicl_checkpoint, which is empty" in caplog.text


def test_a_kind_that_cannot_be_fitted_is_left_out_with_a_warning(
    make_case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise TrainingError("ridge cannot be fitted on these products.")

    monkeypatch.setattr(ESTIMATORS["ridge"], "fit", refuse)
    results = priced(*make_case())
    assert results.columns.tolist() == ["sample_id", "price", "median", "kernel_ridge", "neighbours", *BOOSTED]
    assert "ridge cannot be fitted on these products. The leaderboard leaves it out." in caplog.text


def test_neighbours_find_what_is_similar(make_case: Callable[..., Case]) -> None:
    results = priced(*make_case())
    assert smape(results, "neighbours") < 0.6 * smape(results, "median")


def test_column_sources_are_fitted_on_too(make_case: Callable[..., Case], tmp_path: Path) -> None:
    samples, split, tables = make_case(structural=False)
    unit = np.arange(300) % 2
    samples["price"] *= np.where(unit, 4, 1)
    products = pd.DataFrame({"sample_id": samples["sample_id"], "unit": np.where(unit, "box", "bag")})
    declaration = ColumnSourceParameters(kind="columns", group="facts", categorical=("unit",))
    write_table(tmp_path / "facts", "facts", draft_columns(products, declaration, "train.csv"))
    alone = smape(priced(samples, split, tables), "ridge")
    both = {**tables, "facts": EmbeddingTable(tmp_path / "facts")}
    assert smape(priced(samples.assign(row_facts=np.arange(300)), split, both), "ridge") < 10 < 40 < alone
