"""Figures merged from parts are those of all rows."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.data.buckets import sketches
from price_fusion.metrics import aggregates
from price_fusion.metrics.intervals import coverage_table
from price_fusion.metrics.price_metrics import metrics_by_price, price_metrics, smape_per_product
from support.prices import GROUPS

LEVELS = (0.8, 0.9)


def results(rows: int, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    price = np.exp(generator.normal(2.5, 1.3, rows))
    predicted = price * np.exp(generator.normal(0, 0.5, rows))
    bounds = {
        name: predicted * factor
        for name, factor in {"price_low": 0.5, "price_high": 2.0, "price_low_90": 0.4, "price_high_90": 2.5}.items()
    }
    errors = {"absolute_error": np.abs(predicted - price), "smape": smape_per_product(predicted, price)}
    ids = {"sample_id": generator.permutation(rows), "row": np.arange(rows)}
    return pd.DataFrame(ids | {"price": price, "predicted": predicted} | errors | bounds)


def parts(table: pd.DataFrame, cuts: list[int]) -> list[pd.DataFrame]:
    edges = [0, *sorted(cut % (len(table) + 1) for cut in cuts), len(table)]
    return [table.iloc[start:stop] for start, stop in pairwise(edges)]


def through_json(value: object) -> object:
    return json.loads(json.dumps(value))


@given(rows=st.integers(1, 300), cuts=st.lists(st.integers(0, 300), max_size=6), seed=st.integers(0, 99))
def test_metrics_are_those_of_all_rows(rows: int, cuts: list[int], seed: int) -> None:
    table = results(rows, seed)
    found = [through_json(aggregates.moments(part["predicted"], part["price"])) for part in parts(table, cuts)]
    merged = aggregates.metrics_of(aggregates.merged_moments(found))
    assert merged == pytest.approx(price_metrics(table["predicted"], table["price"]), rel=1e-9, nan_ok=True)


def test_equal_prices_have_no_r2() -> None:
    same = np.full(7, 0.1)
    merged = aggregates.merged_moments([aggregates.moments(same + 1, same), aggregates.moments(same[:2], same[:2])])
    assert np.isnan(aggregates.metrics_of(merged)["r2"])


@given(cuts=st.lists(st.integers(0, 400), max_size=5))
def test_metrics_by_price_are_those_of_all_rows(cuts: list[int]) -> None:
    table = results(400)
    found = [
        through_json(aggregates.moments_by_price(part["predicted"].to_numpy(), part["price"].to_numpy(), GROUPS))
        for part in parts(table, cuts)
    ]
    expected = metrics_by_price(table["predicted"].to_numpy(), table["price"].to_numpy(), GROUPS)
    pd.testing.assert_frame_equal(aggregates.metrics_by_price_of(found, GROUPS), expected, rtol=1e-9)


@given(cuts=st.lists(st.integers(0, 400), max_size=5))
def test_extremes_are_those_of_all_rows(cuts: list[int]) -> None:
    table = results(400).assign(smape=lambda frame: frame["smape"].round(-1))  # with ties
    found = [through_json(aggregates.extremes(part, 20)) for part in parts(table, cuts)]
    merged = aggregates.merged_extremes(found, 20)
    ordered = table.sort_values(["smape", "row"])
    assert merged[merged["extreme"] == "best"]["row"].tolist() == ordered["row"].head(20).tolist()
    assert merged[merged["extreme"] == "worst"]["row"].tolist() == ordered["row"].iloc[::-1].head(20).tolist()


@given(cuts=st.lists(st.integers(0, 400), max_size=5))
def test_coverage_is_that_of_all_rows(cuts: list[int]) -> None:
    table = results(400).assign(price_high=lambda frame: frame["price_high"] * (1 + frame["row"] / 100))
    found = [through_json(aggregates.coverage_sums(part, LEVELS, GROUPS)) for part in parts(table, cuts)]
    bounds = table[["price_low", "price_high", "price_low_90", "price_high_90"]].to_numpy().reshape(len(table), 2, 2)
    expected = coverage_table(table["predicted"], table["price"], bounds, LEVELS, GROUPS)
    merged = aggregates.coverage_table_of(found, LEVELS, GROUPS)
    exact = [name for name in expected if name != "relative_width"]
    pd.testing.assert_frame_equal(merged[exact], expected[exact], rtol=1e-9, check_dtype=False)
    overall = merged["group"] == "all"  # a median of few lies between two of them
    assert merged["relative_width"][overall].to_numpy() == pytest.approx(
        expected["relative_width"][overall].to_numpy(), rel=0.01
    )


@given(values=st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=200), share=st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_quantiles_of_a_sketch_are_right_to_its_accuracy(values: list[float], share: float) -> None:
    array = np.array(values)
    half = len(values) // 2
    merged = sketches.merged_sketch([sketches.sketch(array[:half]), sketches.sketch(array[half:])])
    expected = np.quantile(array, share, method="lower")
    assert sketches.quantile(merged, share) == pytest.approx(expected, rel=1.01 * sketches.ACCURACY)


def test_quantile_of_nothing_is_no_number() -> None:
    assert np.isnan(sketches.quantile({}, 0.5))
