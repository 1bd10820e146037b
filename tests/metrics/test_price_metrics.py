"""Metrics against numbers worked by hand, and groups at each edge."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from price_fusion.metrics.price_metrics import metrics_by_price, price_metrics, smape_per_product
from support.prices import GROUPS

PRICE = st.floats(0.01, 1e6)
PAIRS = st.lists(st.tuples(PRICE, PRICE), min_size=1, max_size=30)

BINS = ["0 to 5", "5 to 10", "10 to 15", "15 to 20", "20 to 30", "30 to 50", "50 to 100", "100 to 200", "200 to 500"]


def test_smape_of_each_product() -> None:
    predicted, true = np.array([10.0, 30.0, 0.0, 5.0, 0.0]), np.array([10.0, 10.0, 7.0, 15.0, 0.0])
    assert smape_per_product(predicted, true).tolist() == [0.0, 100.0, 200.0, 100.0, 0.0]


def test_metrics_worked_by_hand() -> None:
    metrics = price_metrics(np.array([10.0, 30.0, 20.0]), np.array([10.0, 10.0, 40.0]))
    assert metrics["smape"] == pytest.approx((0 + 100 + 200 / 3) / 3)
    assert metrics["mae"] == pytest.approx(40 / 3)
    assert metrics["rmse"] == pytest.approx(math.sqrt(800 / 3))
    assert metrics["r2"] == pytest.approx(1 - 800 / 600)


def test_perfect_prices() -> None:
    assert price_metrics(np.array([3.0, 4.0]), np.array([3.0, 4.0])) == {
        "smape": 0.0,
        "mae": 0.0,
        "rmse": 0.0,
        "r2": 1.0,
    }


def test_the_mean_price_has_an_r2_of_zero() -> None:
    assert price_metrics(np.array([5.0, 5.0]), np.array([4.0, 6.0]))["r2"] == 0.0


@pytest.mark.parametrize("true", [[7.0], [0.1, 0.1, 0.1], [1e6] * 7])
def test_r2_of_equal_prices_is_no_number(true: list[float]) -> None:
    metrics = price_metrics(np.full(len(true), 2.0), np.array(true))
    assert math.isnan(metrics["r2"])
    assert math.isfinite(metrics["smape"])


@given(PAIRS)
def test_smape_is_symmetric_bounded_and_free_of_the_currency(pairs: list[tuple[float, float]]) -> None:
    predicted, true = np.array(pairs).T
    smape = smape_per_product(predicted, true)
    assert ((smape >= 0) & (smape <= 200)).all()
    np.testing.assert_array_equal(smape, smape_per_product(true, predicted))
    np.testing.assert_allclose(smape, smape_per_product(90 * predicted, 90 * true), atol=1e-9)


@given(PAIRS)
def test_overall_smape_is_the_mean_of_the_products(pairs: list[tuple[float, float]]) -> None:
    predicted, true = np.array(pairs).T
    mean = sum(200 * abs(p - t) / (p + t) for p, t in pairs) / len(pairs)
    assert price_metrics(predicted, true)["smape"] == pytest.approx(mean)
    assert smape_per_product(predicted, true).mean() == pytest.approx(mean)


@given(PAIRS)
def test_groups_average_to_the_whole(pairs: list[tuple[float, float]]) -> None:
    predicted, true = np.array(pairs).T
    groups, overall = metrics_by_price(predicted, true, GROUPS), price_metrics(predicted, true)
    for _, grouping in groups.groupby("grouping"):
        assert grouping["rows"].sum() == len(pairs)
        for name in ("smape", "mae"):
            mean = (grouping[name].fillna(0) * grouping["rows"]).sum() / len(pairs)
            assert mean == pytest.approx(overall[name])


@pytest.mark.parametrize(
    ("price", "bin_label", "range_label"),
    [
        (0.13, "0 to 5", "very low"),
        (4.99, "0 to 5", "very low"),
        (5.0, "5 to 10", "very low"),
        (9.99, "5 to 10", "very low"),
        (10.0, "10 to 15", "low"),
        (15.0, "15 to 20", "low"),
        (20.0, "20 to 30", "low"),
        (29.99, "20 to 30", "low"),
        (30.0, "30 to 50", "medium"),
        (50.0, "50 to 100", "medium"),
        (99.99, "50 to 100", "medium"),
        (100.0, "100 to 200", "high"),
        (200.0, "200 to 500", "high"),
        (299.99, "200 to 500", "high"),
        (300.0, "200 to 500", "very high"),
        (499.99, "200 to 500", "very high"),
        (500.0, "500 and above", "very high"),
        (2796.0, "500 and above", "very high"),
    ],
)
def test_groups_hold_their_lower_edge(price: float, bin_label: str, range_label: str) -> None:
    groups = metrics_by_price(np.array([1.0]), np.array([price]), GROUPS)
    held = groups[groups["rows"] == 1]
    assert list(zip(held["grouping"], held["group"], strict=True)) == [("bin", bin_label), ("range", range_label)]


def test_lists_all_groups_in_order_with_empty_ones() -> None:
    groups = metrics_by_price(np.array([6.0, 10.0]), np.array([6.0, 8.0]), GROUPS)
    assert groups["group"].tolist() == [*BINS, "500 and above", "very low", "low", "medium", "high", "very high"]
    assert groups["rows"].sum() == 4
    full = groups[groups["group"] == "5 to 10"].iloc[0]
    assert (full["rows"], full["mean_true"], full["mean_predicted"], full["mae"]) == (2, 7.0, 8.0, 1.0)
    empty = groups[groups["group"] == "30 to 50"].iloc[0]
    assert empty["rows"] == 0
    assert empty[["mean_true", "mean_predicted", "smape", "mae", "rmse", "r2"]].isna().all()
