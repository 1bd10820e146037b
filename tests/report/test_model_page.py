"""Headlines are the metrics, with intervals that hold them; reservations are said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from price_fusion.command_options import CommandOptions
from price_fusion.metrics.intervals import coverage_table
from price_fusion.metrics.price_metrics import metrics_by_price, price_metrics
from price_fusion.report import figures
from price_fusion.report.model_page import NO_INTERVALS, TRUST, headlines, metrics_with_intervals, model_page
from support.prices import GROUPS


def test_metrics_are_those_of_metrics_py_inside_their_intervals(results: pd.DataFrame) -> None:
    price, predicted = results["price"].to_numpy(), results["predicted"].to_numpy()
    found = metrics_with_intervals(price, predicted, np.arange(len(price)) // 2, resamples=300, seed=1)
    expected = price_metrics(predicted, price) | {"bias": float((predicted - price).mean())}
    for name, (value, bounds) in found.items():
        assert value == pytest.approx(expected[name], rel=1e-9)
        assert bounds.low < value < bounds.high


def test_equal_prices_are_no_division_by_zero() -> None:
    found = metrics_with_intervals(np.full(5, 3.0), np.full(5, 4.0), np.arange(5), resamples=100, seed=1)
    assert found["mae"][0] == 1.0
    assert np.isnan(found["r2"][0])


def test_headlines_put_smape_beside_what_one_price_reaches(results: pd.DataFrame, coverage: pd.DataFrame) -> None:
    shown = headlines(results, np.arange(len(results)), coverage, 15.0, "EUR", resamples=100, seed=1)
    assert [one.name for one in shown] == ["SMAPE", "MAE", "RMSE", "R2", "Bias", "Inside the 80 % interval"]
    constant = (200 * (results["price"] - 15).abs() / (results["price"] + 15)).mean()
    assert f"one price for all: {constant:.1f} %" in shown[0].note


def test_the_share_inside_intervals_has_an_interval_of_its_own(results: pd.DataFrame) -> None:
    wide = {"price_low_90": results["price_low"] / 2, "price_high_90": results["price_high"] * 2}
    results = results.assign(**wide)
    bounds = results[["price_low", "price_high", "price_low_90", "price_high_90"]].to_numpy().reshape(-1, 2, 2)
    coverage = coverage_table(results["predicted"], results["price"], bounds, [0.8, 0.9], GROUPS)
    shown = headlines(results, np.arange(400) // 2, coverage, 15.0, "EUR", resamples=300, seed=1)[-2:]
    for one in shown:
        low, high = map(float, one.note.split("]")[0][1:].split(", "))
        assert low < float(one.value.removesuffix(" %")) < high
        assert one.note.endswith("EUR wide on average")
    assert shown[1].name == "Inside the 90 % interval"
    assert shown[1].value > shown[0].value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"split": "validation"}, "the split has no holdout"),
        ({"tuned_on": True}, "were seen by an encoder"),
        ({"predicted_twice": 1e9}, "Twice the amount, all else equal, lowers the predicted price of 0.0 %"),
        ({}, None),
        ({"rows": 12}, "One of them alone can move the SMAPE by up to 17 points"),
    ],
)
def test_reservations(
    change: dict[str, object], said: str | None, results: pd.DataFrame, coverage: pd.DataFrame
) -> None:
    results = results.head(int(str(change.get("rows", len(results)))))
    price, predicted = results["price"].to_numpy(), results["predicted"].to_numpy()
    drawn = {
        "true_against_predicted": figures.true_against_predicted(price, predicted, "EUR"),
        "errors_by_price": figures.errors_by_price(metrics_by_price(predicted, price, GROUPS), GROUPS),
        "residuals": figures.residuals(price, predicted, GROUPS),
        "calibration": figures.calibration(price, predicted, coverage, "EUR"),
    }
    text = model_page("moe", results.assign(**change), "This model predicts.", "EUR", [], drawn, [], CommandOptions())
    assert "This model predicts." in text
    assert (said in text) if said else "<strong>Mind:</strong>" not in text
    assert TRUST in text
    without = results.drop(columns=["price_low", "price_high"])
    text = model_page("moe", without, "This model predicts.", "EUR", [], drawn, [], CommandOptions())
    assert TRUST not in text
    assert NO_INTERVALS in text
