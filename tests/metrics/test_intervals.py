"""Intervals: ranks worked by hand, coverage on simulated prices, and what an interval may never do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from price_fusion.errors import DataError, ParameterError
from price_fusion.metrics.intervals import (
    Calibration,
    calibrate,
    coverage_summary,
    coverage_table,
    marginal_interval,
    price_intervals,
    rows_needed,
)
from price_fusion.metrics.price_scale import BEFORE, PriceScale, price_unit
from support.prices import GROUPS

LEVELS = (0.5, 0.8, 0.9)
Values = NDArray[np.float64]


def simulated(rows: int, seed: int) -> tuple[Values, Values]:
    """Predicted log prices and true prices: noise grows with the price, and its skew turns over."""
    generator = np.random.default_rng(seed)
    log_prices = generator.uniform(2.0, 5.0, rows)
    skewed = generator.exponential(1.0, rows) - 1
    noise = np.where(log_prices < 3.5, skewed, -skewed) * (0.05 + 0.1 * (log_prices - 2.0))
    return log_prices, np.expm1(log_prices + noise)


def held(log_prices: Values, true: Values, calibration: Calibration, levels: tuple[float, ...] = LEVELS) -> Values:
    """Whether each interval holds its true price, (M, L)."""
    found = price_intervals(calibration, log_prices, levels)
    return ((found[..., 0] <= true[:, None]) & (true[:, None] <= found[..., 1])).astype(np.float64)


def test_ranks_worked_by_hand() -> None:
    # 39 equal predictions, residuals -1.9 ... 1.9: one bin, centre 0, and the scale cancels.
    residuals = np.arange(-19, 20) / 10
    found = price_intervals(Calibration(np.full(39, 4.0), residuals), np.array([4.0, 5.0]), [0.95, 0.8, 0.5, 0.11])
    # Rank k of 39 is worth k / 40: 1 and 39, 4 and 36, 10 and 30, and outwards to 17 and 23 between 17.8 and 22.2.
    by_hand = np.array([[-1.9, 1.9], [-1.6, 1.6], [-1.0, 1.0], [-0.3, 0.3]])
    np.testing.assert_allclose(np.log1p(found), np.array([4.0, 5.0])[:, None, None] + by_hand, atol=1e-9)


def test_skewed_residuals_give_skewed_intervals() -> None:
    residuals = np.concatenate([np.full(10, -0.1), np.zeros(19), np.full(10, 1.0)])
    found = price_intervals(Calibration(np.full(39, 3.0), residuals), np.array([3.0]), [0.8])
    np.testing.assert_allclose(np.log1p(found[0, 0]), [2.9, 4.0], atol=1e-9)


@pytest.mark.parametrize("rows", [20, 21, 39, 99, 399, 650])
def test_coverage_over_calibrations_is_the_level(rows: int) -> None:
    # Equal predictions make one bin, whose centre and scale cancel: the guarantee is exact, up to two ranks more.
    generator, repeats, levels = np.random.default_rng(rows), 300, np.array([0.5, 0.9])
    covered = np.zeros(2)
    for _ in range(repeats):
        noise = generator.exponential(1.0, rows + 50) - 1
        calibration = Calibration(np.full(rows, 3.0), noise[:rows])
        covered += held(np.full(50, 3.0), np.expm1(3.0 + noise[rows:]), calibration, (0.5, 0.9)).mean(axis=0) / repeats
    standard_error = np.sqrt(levels * (1 - levels) * (1 / 50 + 1 / rows) / repeats)
    assert (covered >= levels - 3.5 * standard_error).all()
    assert (covered <= levels + 2 / (rows + 1) + 3.5 * standard_error).all()


def test_holds_its_level_where_noise_depends_on_the_price() -> None:
    calibration = calibrate(*simulated(20_000, seed=1))
    log_prices, true = simulated(40_000, seed=2)
    inside = held(log_prices, true, calibration)
    np.testing.assert_allclose(inside.mean(axis=0), LEVELS, atol=0.02)
    for low in np.arange(2.0, 5.0, 0.5):
        part = inside[(log_prices >= low) & (log_prices < low + 0.5)]
        np.testing.assert_allclose(part.mean(axis=0), LEVELS, atol=0.05)


def test_intervals_widen_with_the_noise_and_turn_with_the_skew() -> None:
    found = price_intervals(calibrate(*simulated(4_000, seed=3)), np.array([2.2, 4.8]), [0.8])[:, 0]
    low, high = np.log1p(found).T
    assert high[1] - low[1] > 2 * (high[0] - low[0])
    assert high[0] - 2.2 > 2.2 - low[0]
    assert 4.8 - low[1] > high[1] - 4.8


@pytest.mark.parametrize("rows", [60, 650, 2_000])
def test_the_order_of_calibration_rows_says_nothing(rows: int) -> None:
    log_prices, true = simulated(rows, seed=4)
    calibration = calibrate(log_prices.round(1), true)
    order = np.random.default_rng(5).permutation(rows)
    shuffled = Calibration(calibration.log_prices[order], calibration.residuals[order])
    asked = np.linspace(-1, 8, 50)
    np.testing.assert_array_equal(price_intervals(calibration, asked, LEVELS), price_intervals(shuffled, asked, LEVELS))


@given(
    seed=st.integers(0, 1_000),
    rows=st.integers(20, 900),
    bias=st.floats(-3, 3),
    levels=st.lists(st.floats(0.01, 0.9), min_size=2, max_size=4),
    asked=st.lists(st.floats(-50, 2_000), min_size=1, max_size=5),
)
def test_intervals_are_nested_positive_finite_and_hold_the_prediction(
    seed: int, rows: int, bias: float, levels: list[float], asked: list[float]
) -> None:
    log_prices, true = simulated(rows, seed)
    calibration = Calibration(log_prices, np.log1p(true) - log_prices + bias)
    found = price_intervals(calibration, np.array(asked), sorted(levels))
    low, high = found[..., 0], found[..., 1]
    assert np.isfinite(found).all()
    assert (low > 0).all()
    assert (np.diff(low, axis=1) <= 0).all()
    assert (np.diff(high, axis=1) >= 0).all()
    predicted = np.clip(np.expm1(np.minimum(asked, 100.0)), BEFORE.lowest, BEFORE.highest)[:, None]
    assert ((low <= predicted) & (predicted <= high)).all()


def test_a_product_alone_gets_the_interval_it_gets_in_company() -> None:
    calibration = calibrate(*simulated(1_000, seed=6))
    asked = np.linspace(1, 6, 40)
    together = price_intervals(calibration, asked, LEVELS)
    for number in (0, 13, 39):
        alone = price_intervals(calibration, asked[number : number + 1], LEVELS)
        np.testing.assert_array_equal(alone[0], together[number])


@pytest.mark.parametrize("factor", [1e-4, 1.5e5])
def test_prices_of_another_order_have_the_same_intervals_in_their_unit(factor: float) -> None:
    log_prices, true = simulated(500, seed=3)
    unit = price_unit(float(np.median(true * factor)))
    scale = PriceScale.of(true * factor, unit)
    logs = scale.logs(np.expm1(log_prices) * factor)
    bounds = price_intervals(calibrate(logs, true * factor, scale), logs, LEVELS, scale)
    inside = (bounds[:, 0, 0] <= true * factor) & (true * factor <= bounds[:, 0, 1])
    assert inside.mean() == pytest.approx(LEVELS[0], abs=0.05)
    marginal = marginal_interval(calibrate(logs, true * factor, scale), LEVELS, scale)
    np.testing.assert_allclose(marginal[0], np.quantile(true * factor, [(1 - LEVELS[0]) / 2, (1 + LEVELS[0]) / 2]))


@pytest.mark.parametrize(("level", "rows"), [(0.5, 3), (0.8, 9), (0.9, 19), (0.95, 39), (0.99, 199), (0.998, 999)])
def test_rows_needed_for_a_level(level: float, rows: int) -> None:
    assert rows_needed(level) == rows


@pytest.mark.parametrize("level", [0.93, 0.95, 0.96, 0.98, 0.998])
def test_as_many_rows_as_needed_are_enough_and_one_fewer_is_not(level: float) -> None:
    rows = rows_needed(level)
    residuals = np.random.default_rng(7).normal(size=rows)
    low, high = np.log1p(price_intervals(Calibration(np.full(rows, 5.0), residuals), np.array([5.0]), [level])[0, 0])
    assert low == pytest.approx(5 + residuals.min())
    assert high == pytest.approx(5 + residuals.max())
    with pytest.raises(DataError, match=rf"level {level}: {rows - 1} calibration rows, expected at least {rows}"):
        price_intervals(Calibration(np.full(rows - 1, 5.0), residuals[1:]), np.array([5.0]), [level])


def test_too_few_rows_in_a_bin_are_named_with_the_level_they_allow() -> None:
    calibration = calibrate(*simulated(800, seed=8))
    with pytest.raises(
        DataError, match=r"200 calibration rows in the smallest of 4 bins, expected at least 399.*0\.99"
    ):
        price_intervals(calibration, np.array([3.0]), [0.5, 0.995])
    price_intervals(calibration, np.array([3.0]), [0.99])


def test_equal_predictions_and_perfect_ones_are_no_trouble() -> None:
    equal = Calibration(np.full(1_000, 3.0), np.random.default_rng(9).normal(size=1_000))
    assert np.isfinite(price_intervals(equal, np.array([1.0, 3.0, 9.0]), LEVELS)).all()
    perfect = price_intervals(Calibration(np.linspace(1, 5, 500), np.zeros(500)), np.array([2.0]), LEVELS)
    np.testing.assert_allclose(perfect, np.expm1(2.0), rtol=1e-9)


def test_equal_predictions_leave_no_bin_short_of_rows() -> None:
    log_prices = np.concatenate([np.linspace(1, 2, 150), np.full(850, 3.0)])
    calibration = Calibration(log_prices, np.random.default_rng(9).normal(size=1_000))
    assert np.isfinite(price_intervals(calibration, np.array([1.0, 3.0]), [0.99])).all()


def test_no_products_get_no_intervals() -> None:
    assert price_intervals(calibrate(*simulated(50, seed=0)), np.empty(0), LEVELS).shape == (0, 3, 2)


def test_residuals_are_true_minus_predicted_in_log() -> None:
    calibration = calibrate(np.full(20, 2.0, dtype=np.float32), np.full(20, np.expm1(2.5)))
    np.testing.assert_allclose(calibration.residuals, 0.5)
    assert calibration.log_prices.dtype == calibration.residuals.dtype == np.float64


def test_unusable_calibration_rows_are_refused() -> None:
    good = np.linspace(1, 3, 30)
    with pytest.raises(DataError, match=r"19 rows, expected at least 20\. Calibrate on more"):
        Calibration(good[:19], good[:19])
    with pytest.raises(DataError, match=r"shape \(30,\) and residuals of shape \(29,\)"):
        Calibration(good, good[1:])
    with pytest.raises(DataError, match=r"shape \(30,\) and true prices of shape \(29,\)"):
        calibrate(good, good[1:])
    bad = np.where(np.arange(30) == 7, np.nan, good)
    with pytest.raises(DataError, match="log_prices: row 7 is nan"):
        Calibration(bad, good)
    with pytest.raises(DataError, match="residuals: row 7 is nan"):
        Calibration(good, bad)
    with pytest.raises(DataError, match="row 7 is nan"):
        price_intervals(Calibration(good, good), bad, LEVELS)


@pytest.mark.parametrize("price", [0.0, -1.0, np.nan, np.inf])
def test_true_prices_must_be_prices(price: float) -> None:
    with pytest.raises(DataError, match=f"true price of row 2 is {price}.*Leave such rows out"):
        calibrate(np.ones(30), np.where(np.arange(30) == 2, price, 1.0))


@pytest.mark.parametrize("levels", [[], [0.0], [1.0], [0.5, 80], [float("nan")]])
def test_levels_are_fractions(levels: list[float]) -> None:
    with pytest.raises(ParameterError, match=r"expected fractions between 0 and 1. Write 80 % as 0\.8"):
        price_intervals(calibrate(*simulated(50, seed=0)), np.array([3.0]), levels)


def test_crepes_leaves_the_warning_filters_alone(modules_after: Callable[[str], set[str]]) -> None:
    check = """
import warnings
import numpy as np
from price_fusion.metrics.intervals import Calibration, price_intervals
before = list(warnings.filters)
price_intervals(Calibration(np.arange(50.0), np.arange(50.0)), np.array([3.0]), [0.8])
assert warnings.filters == before
"""
    assert "crepes" in modules_after(check)


def test_intervals_are_light_until_asked_for(modules_after: Callable[[str], set[str]]) -> None:
    assert not {"crepes", "torch"} & modules_after("import price_fusion.metrics.intervals")


def test_coverage_worked_by_hand() -> None:
    predicted, true = np.array([3.0, 4.0, 5.0]), np.array([2.0, 9.0, 8.0])
    found = np.array([[[1.0, 2.0], [1.0, 8.0]], [[2.0, 8.0], [1.0, 9.0]], [[4.0, 6.0], [3.0, 6.0]]])
    table = coverage_table(predicted, true, found, [0.5, 0.8], GROUPS)
    assert table["group"].tolist()[:3] == ["all", "0 to 5", "5 to 10"]
    assert table["rows"].tolist() == [3, 2, 1, *[0] * 8] * 2
    rows = table[table["rows"] > 0].drop(columns="rows").to_dict("list")
    assert rows["level"] == [50.0] * 3 + [80.0] * 3
    assert rows["coverage"] == pytest.approx([100 / 3, 50, 0, 200 / 3, 100, 0])
    assert rows["mean_width"] == pytest.approx([3, 3.5, 2, 6, 7.5, 3])
    assert rows["relative_width"] == pytest.approx([2, 3, 1.5, 8, 8.5, 2])
    assert table.loc[table["rows"] == 0, ["coverage", "mean_width", "relative_width"]].isna().all(axis=None)


def test_summary_names_the_bin_furthest_from_its_level() -> None:
    table = pd.DataFrame(
        [
            (80.0, "all", 700, 81.0, 30.0, 5.0),
            (80.0, "0 to 5", 300, 82.5, 3.0, 5.0),
            (80.0, "5 to 10", 200, 77.0, 9.0, 5.0),
            (80.0, "10 to 15", 199, 20.0, 9.0, 5.0),
            (97.5, "all", 3, 100.0, 60.0, 9.0),
            (97.5, "0 to 5", 3, 100.0, 60.0, 9.0),
        ],
        columns=["level", "group", "rows", "coverage", "mean_width", "relative_width"],
    )
    assert coverage_summary(table) == {
        "80": {"rows": 700, "coverage": 81.0, "mean_width": 30.0, "largest_deviation": -3.0, "bin": "5 to 10"},
        "97.5": {"rows": 3, "coverage": 100.0, "mean_width": 60.0, "largest_deviation": None, "bin": None},
    }
